"""`keras-pretext`: one command, thin over the library. Heavy imports happen inside the commands."""

import argparse
import json
import os
import pathlib
import sys


def main(argv=None):
    """Runs a command; returns the exit code: 0, or 2 with one line of explanation."""
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return arguments.command(arguments) or 0
    except KeyboardInterrupt:
        print("keras-pretext: stopped; the same command resumes", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        expected = isinstance(error, ValueError | RuntimeError | ImportError | OSError)
        what = error if expected else f"{type(error).__name__}: {error} (--debug shows where)"
        print(f"keras-pretext: {what}", file=sys.stderr)
        return 2


def parser():
    top = argparse.ArgumentParser(prog="keras-pretext", description="Self-supervised pretext "
                                  "tasks: train on unlabelled images, probe, publish, load.")
    top.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=run)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                         help=argparse.SUPPRESS)
        return sub

    sub = command("pretrain", _pretrain, "train a recipe; run it again to resume")
    sub.add_argument("recipe", help="a recipe file, or a run folder to resume")
    sub.add_argument("--out", help="the run's folder; default runs/<name>")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                     help="another value for a field of the recipe (JSON, or a plain word)")
    sub.add_argument("--strategy", default="none",
                     choices=["none", "mirrored", "multi-worker", "data-parallel"],
                     help="mirrored: all GPUs of this host; multi-worker: those of all hosts of "
                     "TF_CONFIG; data-parallel: the same on JAX")
    sub.add_argument("--tensorboard", action="store_true", help="write event files to OUT/logs")
    sub.add_argument("--snapshots", type=int, metavar="EPOCHS",
                     help="keep the weights every so many epochs, for `curve`")
    sub.add_argument("--check", action="store_true", help="only check that it could start")

    sub = command("probe", _probe, "measure what the features of a model are worth")
    sub.add_argument("model", help="a run folder, or a zoo name")
    sub.add_argument("--data", required=True, help="labelled data: a name, folder or file")
    sub.add_argument("--protocol", default="linear", help="its name on results, such as "
                     "zhang2016-linear, or linear, nonlinear, conv, knn ... (docs/protocols.md)")
    sub.add_argument("--train-split", default="train")
    sub.add_argument("--test-split", default="test")
    sub.add_argument("--taps", nargs="*", help="default: all")
    sub.add_argument("--seeds", type=int, nargs="+", help="default: the protocol's, mostly 0 1 2")
    sub.add_argument("--epochs", type=int, help="default: the protocol's, mostly 10")
    sub.add_argument("--image-size", type=int)
    sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                     help="another option of the protocol")
    sub.add_argument("--random", action="store_true", help="probe random weights instead")
    sub.add_argument("--finetune", action="store_true", help="train the extractor too (one tap)")
    sub.add_argument("--json", help="also write the result to this file")

    sub = command("curve", _curve, "pretext against object accuracy over a run's snapshots")
    sub.add_argument("run", help="a folder of `pretrain --snapshots`")
    sub.add_argument("--data", required=True, help="labelled data: a name, folder or file")
    sub.add_argument("--tap", required=True)
    sub.add_argument("--protocol", default="nonlinear")
    sub.add_argument("--train-split", default="train")
    sub.add_argument("--test-split", default="test")
    sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                     help="an option of the protocol, such as epochs=10")
    sub.add_argument("--json", help="also write the rows to this file")

    sub = command("rescale", _rescale, "absorb batch normalisation, let all layers learn at a pace")
    sub.add_argument("model", help="a run folder, or a zoo name")
    sub.add_argument("--data", required=True, help="pictures: a name, folder or file")
    sub.add_argument("--split", default="train")
    sub.add_argument("--out", required=True, help="the folder to write, as a run's")
    sub.add_argument("--init", choices=["random", "kmeans"],
                     help="new weights instead of the model's own")
    sub.add_argument("--images", type=int, default=160)
    sub.add_argument("--seed", type=int, default=0)

    sub = command("publish", _publish, "make a zoo entry of a finished run")
    sub.add_argument("run")
    sub.add_argument("name")
    sub.add_argument("--root", default="zoo")
    sub.add_argument("--metrics", nargs="*", default=[], help="JSON files that `probe` wrote")
    sub.add_argument("--licence", default="Apache-2.0 (weights); data under its own terms")
    sub.add_argument("--limits", default="")
    sub.add_argument("--card", help="a JSON file with more fields of the card, or other values")

    sub = command("preview", _preview, "draw what a task does to pictures")
    sub.add_argument("images", nargs="*", help="picture files; default: the first of --data")
    sub.add_argument("--task", required=True)
    sub.add_argument("--data", default="scenes", help="a name, folder or file of pictures")
    sub.add_argument("--out", default="preview.png")
    sub.add_argument("--count", type=int, default=4)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                     help="an option of the task")

    sub = command("inpaint", _inpaint, "paint a part of a picture from what is around it")
    sub.add_argument("image")
    sub.add_argument("--box", required=True, metavar="LEFT,TOP,WIDTH,HEIGHT",
                     help="what is painted, in pixels")
    sub.add_argument("--model", required=True, help="a run folder, or a zoo name")
    sub.add_argument("--out", default="inpainted.png")

    sub = command("colorize", _colorize, "give a picture the colours that a model guesses")
    sub.add_argument("image", help="a picture file; only its lightness is looked at")
    sub.add_argument("--model", required=True, help="a run folder, or a zoo name")
    sub.add_argument("--out", default="colorized.png")
    sub.add_argument("--temperature", type=float, help="of the annealed mean; default: the task's")
    sub.add_argument("--size", type=int, help="short side that the network sees; default: its own")

    sub = command("color-prior", _color_prior, "count the 313 colours in a data set")
    sub.add_argument("data", help="a name, folder or file of pictures")
    sub.add_argument("--split", default="train")
    sub.add_argument("--images", type=int, default=20_000, help="how many pictures are looked at")
    sub.add_argument("--out", default="color_prior.json")

    sub = command("show", _show, "draw what a network has learnt")
    sub.add_argument("what", choices=["filters", "attention", "neighbours", "activations", "tsne"])
    sub.add_argument("model", help="a run folder, or a zoo name")
    sub.add_argument("--data", default="scenes", help="a name, folder or file of pictures")
    sub.add_argument("--split", default="test")
    sub.add_argument("--images", type=int, default=400, help="pictures to look at, at most")
    sub.add_argument("--tap", help="default: what suits")
    sub.add_argument("--power", type=float, help="of attention maps; default: 1, 2, 4 by depth")
    sub.add_argument("--turns", action="store_true", help="attention maps of turned pictures too")
    sub.add_argument("--unit", type=int, nargs="+", help="of activations; default: four")
    sub.add_argument("--grid", type=int, default=1, help="neighbours among GRID x GRID crops each")
    sub.add_argument("--count", type=int, default=6, help="rows, neighbours or crops in a row")
    sub.add_argument("--out", default="show.png")

    sub = command("explore", _explore, "look at puzzles, answers and features in a browser")
    sub.add_argument("--data", nargs="+", default=["scenes"], metavar="DATA",
                     help="names, folders or files of pictures")
    sub.add_argument("--models", nargs="*", metavar="MODEL",
                     help="zoo names or run folders; default: all of the zoo")
    sub.add_argument("--split", default="test")
    sub.add_argument("--images", type=int, default=200, help="pictures of each data set, at most")
    sub.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    sub.add_argument("--port", type=int, default=7860, help="0: a free one")

    sub = command("report", _report, "one HTML page on trained models, and its JSON")
    sub.add_argument("models", nargs="+", metavar="MODEL", help="a zoo name, or a run folder")
    sub.add_argument("--out", default="report", help="the folder of report.html and report.json")
    sub.add_argument("--data", help="pictures to look at; default: those it was tested on")
    sub.add_argument("--split")
    sub.add_argument("--images", type=int, default=400, help="pictures to look at, at most")
    sub.add_argument("--no-pictures", action="store_true", help="only what the cards know")
    sub.add_argument("--metrics", nargs="*", default=[], help="JSON files that `probe` wrote")

    sub = command("scoreboard", _scoreboard, "all published numbers beside the papers' (Markdown)")
    sub.add_argument("--root", help="a folder of entries; default: the zoo")
    sub.add_argument("--out", help="a file to write; default: print it")

    sub = command("audit", _audit, "look for shortcuts: can a task be solved without content?")
    sub.add_argument("--task", required=True)
    sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                     help="an option of the task")
    sub.add_argument("--probes", nargs="*", help="default: all")
    sub.add_argument("--sobel", action="store_true", help="the network sees edges only")
    sub.add_argument("--steps", type=int, default=400)
    sub.add_argument("--seed", type=int, default=0)

    sub = command("zoo", _zoo, "list, describe, verify, bundle and fetch published models")
    sub.add_argument("action", choices=["list", "info", "verify", "bundle", "fetch"])
    sub.add_argument("names", nargs="*", metavar="NAME", help="name or name@version or a folder")
    sub.add_argument("--from", dest="source", metavar="SOURCE",
                     help="what `fetch` installs from: a folder, an archive, or its URL")
    sub.add_argument("--sha256", help="of that archive")
    sub.add_argument("--all", action="store_true", help="every published model")
    sub.add_argument("--out", default="bundle", help="where `bundle` puts its zoo: a folder, "
                     "or a file .tar")

    sub = command("serve-bundle", _serve_bundle, "write published models for TF Serving")
    sub.add_argument("names", nargs="+", metavar="NAME", help="name or name@version or a folder")
    sub.add_argument("--out", required=True, help="the folder to write; it must not exist")
    sub.add_argument("--base", default="/models", help="where the server will see that folder")
    sub.add_argument("--tap", help="of the embedding; default: the card's best")
    sub.add_argument("--whiten", metavar="NPZ", help="mean and matrix for the embedding")
    sub.add_argument("--image-size", type=int, help="of encoded pictures; default: the card's")
    sub.add_argument("--batch-sizes", type=int, nargs="+", help="default: 1 2 4 ... 64")

    sub = command("extract", _extract, "write the features of every picture as Parquet")
    sub.add_argument("model", help="a zoo name, the folder of an entry or of a run")
    sub.add_argument("--data", required=True, help="a name, folder, file, or paths:FILE")
    sub.add_argument("--split", default="train")
    sub.add_argument("--out", required=True, help="the folder; what is there already is kept")
    sub.add_argument("--taps", nargs="*", help="default: the last")
    sub.add_argument("--pooling", default="avg")
    sub.add_argument("--image-size", type=int, help="default: what the model was trained at")
    sub.add_argument("--dtype", help="such as mixed_bfloat16; default: the model's")
    sub.add_argument("--batch-size", type=int, default=64)
    sub.add_argument("--shard-size", type=int, default=4096, help="pictures in a file")
    sub.add_argument("--processes", type=int, help="default: one for each GPU, or one")
    sub.add_argument("--beam", nargs=argparse.REMAINDER, metavar="OPTION", help="run on Apache "
                     "Beam; what follows are its options, such as --runner=DirectRunner")

    sub = command("mine", _mine, "mine pairs of patches, and masks of what moves, from videos")
    sub.add_argument("videos", nargs="+", help="video files and folders of them")
    sub.add_argument("--out", required=True, help="a new folder, or one to go on in")
    sub.add_argument("--preset", choices=["paper", "small"], default="paper",
                     help="small: for some ten short clips")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                     help="another value for a field of the mining recipe")
    sub.add_argument("--beam", nargs=argparse.REMAINDER, metavar="OPTION", default=[],
                     help="what follows are options of the Apache Beam pipeline")

    sub = command("neighbours", _neighbours, "draw the pictures nearest to one, of an extraction")
    sub.add_argument("image", help="a picture file")
    sub.add_argument("--index", required=True, help="a folder that `extract` wrote")
    sub.add_argument("--tap", help="default: the last that was extracted")
    sub.add_argument("--count", type=int, default=6)
    sub.add_argument("--out", default="neighbours.png")

    sub = command("profile", _profile, "images/s of decoding, pipeline, model and the whole")
    sub.add_argument("recipe")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    sub.add_argument("--seconds", type=float, default=10)

    sub = command("demo", _demo, "the whole way on the embedded scenes, in a few minutes")
    sub.add_argument("--out", default="runs/demo")
    return top


def _settings(pairs):
    """`["a=1", "b=word"]` to `{"a": 1, "b": "word"}`."""
    out = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set takes NAME=VALUE. Received: {pair!r}")
        try:
            out[name] = json.loads(value)
        except json.JSONDecodeError:
            out[name] = value
    return out


def _pretrain(arguments):
    from keras_pretext.training import cluster

    if arguments.strategy != "multi-worker":
        return _train(arguments)
    with cluster.Rejoining() as turn:
        return _train(arguments, turn)


def _train(arguments, turn=None):
    from keras_pretext.training import Trainer, cluster, load_recipe

    # a cluster is made before anything else of TensorFlow or JAX runs
    strategy = {"multi-worker": cluster.multi_worker, "data-parallel": cluster.data_parallel}.get(
        arguments.strategy, lambda: None)()
    recipe = load_recipe(arguments.recipe, **_settings(arguments.set))
    out = arguments.out or (arguments.recipe if os.path.isdir(arguments.recipe)
                            else os.path.join("runs", recipe.name))
    if arguments.strategy == "mirrored":
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy()
    callbacks = []
    if arguments.tensorboard:
        from keras_pretext.training.tensorboard import TensorBoard

        callbacks.append(TensorBoard(os.path.join(out, "logs")))
    if arguments.snapshots is not None:
        from keras_pretext.training.snapshots import Snapshots

        callbacks.append(Snapshots(arguments.snapshots))
    trainer = Trainer(recipe, out, strategy=strategy, callbacks=callbacks)
    if arguments.check:
        print(f"{recipe.name}: {trainer.source.num_examples} images, {trainer.total_steps} steps, "
              f"{trainer.model.count_params()} parameters; ready in {out}")
        return
    if turn:
        turn.trainer = trainer
    row = trainer.run()
    if trainer.stopped:
        print(f"{recipe.name}: stopped after step {trainer.step}; the same command resumes",
              file=sys.stderr)
        return 143
    if not trainer.cluster.chief:
        return
    shown = {k: round(v, 4) for k, v in row.items() if k.startswith("test_") or k == "loss"}
    print(f"{recipe.name}: {shown}, chance {trainer.task.chance}; written to {out}/final")


def _model(name):
    """A model that evaluation takes, from a run folder or the zoo."""
    from keras_pretext.zoo.entry import pretext_model

    return pretext_model(name)


def _protocol_options(measure, arguments):
    """What of the command line a protocol's function takes."""
    import inspect

    takes = inspect.signature(measure).parameters
    given = {"seeds": arguments.seeds, "epochs": arguments.epochs,
             "image_size": arguments.image_size, "taps": arguments.taps}
    options = {name: value for name, value in given.items() if value is not None}
    if arguments.finetune:
        options["frozen"] = False
    if "tap" in takes or arguments.finetune:
        if len(arguments.taps or ()) != 1:
            raise ValueError("this protocol takes one tap: --taps NAME. "
                             f"Received: {arguments.taps}")
        options["taps"], = arguments.taps
    if "tap" in takes:
        options["tap"] = options.pop("taps")
    options.update(_settings(arguments.set))
    known = {name for name, p in takes.items() if p.kind is not p.VAR_KEYWORD}
    unknown = sorted(set(options) - known - {"image_size"})
    if unknown and (len(known) == len(takes) or "frozen" in unknown):
        raise ValueError(f"{arguments.protocol} has no {', '.join(unknown)}; its options are "
                         f"{', '.join(sorted(known - {'model', 'train', 'test'}))}. "
                         f"Received: {unknown}")
    return options


def _probe(arguments):
    import keras

    from keras_pretext import data, evaluation

    train = data.open(arguments.data, arguments.train_split)
    test = data.open(arguments.data, arguments.test_split)
    model = _model(arguments.model)
    if arguments.random:
        keras.utils.set_random_seed(0)
        model = model.task.attach(type(model.backbone).from_config(model.backbone.get_config()))
    measure = evaluation.protocol(arguments.protocol)
    results = measure(model, train, test, **_protocol_options(measure, arguments))
    if not isinstance(results, dict):
        results = {None: results}
    for count, one in results.items():
        one.settings["weights_from"] = "random" if arguments.random else arguments.model
        print(f"{count} labels a class, {one}" if count else one)
    if arguments.json:
        from keras_pretext.training.checkpoint import write_json

        write_json(arguments.json, [one.to_dict() for one in results.values()])


def _curve(arguments):
    from keras_pretext import data, evaluation
    from keras_pretext.evaluation.over_training import over_training

    def show(row):
        pretext = " ".join(f"{k} {v:.4f}" for k, v in row["pretext"].items() if k != "images")
        print(f"epoch {row['epoch']:5d}  pretext {pretext}  object {100 * row['object']:.2f} % "
              f"+- {100 * row['object_std']:.2f}", flush=True)

    rows = over_training(
        arguments.run, data.open(arguments.data, arguments.train_split),
        data.open(arguments.data, arguments.test_split), arguments.tap,
        evaluation.protocol(arguments.protocol), show, **_settings(arguments.set))
    if arguments.json:
        from keras_pretext.training.checkpoint import write_json

        write_json(arguments.json, rows)


def _rescale(arguments):
    from keras_pretext import data
    from keras_pretext.evaluation.rescale import rescaled

    out = pathlib.Path(arguments.out) / "final"
    if out.exists():
        raise ValueError(f"this folder holds a model already: choose another. Received: {out}")
    model, found = rescaled(_model(arguments.model), data.open(arguments.data, arguments.split),
                            arguments.init, arguments.images, arguments.seed)
    out.mkdir(parents=True)
    model.save(out / "model.keras")
    ratios = found["ratios"].values()
    print(f"{out.parent}: gradient to weight {min(ratios):.4g} to {max(ratios):.4g} in "
          f"{len(ratios)} layers, deviation of the last tap {found['output_std']:.3f}, after "
          f"{found['iterations']} rounds")


def _publish(arguments):
    from keras_pretext import zoo
    from keras_pretext.training import load_run

    card = {"licence": arguments.licence, "limits": arguments.limits, "metrics": []}
    for path in arguments.metrics:
        card["metrics"] += json.loads(pathlib.Path(path).read_text())
    if arguments.card:
        card.update(json.loads(pathlib.Path(arguments.card).read_text()))
    print(zoo.publish(load_run(arguments.run), arguments.name, root=arguments.root, card=card,
                      run=arguments.run))


def _preview(arguments):
    import numpy as np

    from keras_pretext import data, tasks
    from keras_pretext.data.draws import draws
    from keras_pretext.data.masks import seen_by
    from keras_pretext.training.answers import picture
    from keras_pretext.visualize import puzzle_sheet

    task = tasks.get(arguments.task, **_settings(arguments.set))
    if arguments.images:
        pictures = [_read(path) for path in arguments.images]
    else:
        source = seen_by(data.open(arguments.data), task.layer())
        pictures = [picture(source, k) for k in range(min(arguments.count, source.num_examples))]
    index = np.arange(len(pictures))
    rows = task.preview(pictures, draws(arguments.seed, 0, index, task.num_draws))
    puzzle_sheet(rows).save(arguments.out)
    print(arguments.out)


def _inpaint(arguments):
    from PIL import Image

    from keras_pretext.visualize import inpaint

    try:
        box = [int(number) for number in arguments.box.split(",")]
    except ValueError:
        raise ValueError("--box takes LEFT,TOP,WIDTH,HEIGHT, four whole numbers. "
                         f"Received: {arguments.box!r}") from None
    Image.fromarray(inpaint(_model(arguments.model), _read(arguments.image), box)
                    ).save(arguments.out)
    print(arguments.out)


def _colorize(arguments):
    from PIL import Image

    from keras_pretext.visualize import colorize

    out = colorize(_model(arguments.model), _read(arguments.image), arguments.temperature,
                   arguments.size)
    Image.fromarray(out).save(arguments.out)
    print(arguments.out)


def _show(arguments):
    import numpy as np
    from PIL import Image

    from keras_pretext import data, visualize
    from keras_pretext.evaluation.features import check_taps, size_for
    from keras_pretext.evaluation.report.looks import sample
    from keras_pretext.visualize.activations import liveliest
    from keras_pretext.visualize.attention import POWERS, spread_taps
    from keras_pretext.visualize.maps import maps_of

    if arguments.count < 1:
        raise ValueError(f"--count is at least 1. Received: {arguments.count}")
    model, count = _model(arguments.model), arguments.count
    backbone = model.backbone
    if arguments.tap:
        check_taps(backbone, arguments.tap)
    if arguments.what == "filters":
        picture = visualize.first_layer_filters(backbone)
        times = max(1, 480 // picture.shape[1])
        Image.fromarray(np.kron(picture, np.ones((times, times, 1), "uint8"))).save(arguments.out)
        print(arguments.out)
        return
    source = data.open(arguments.data, arguments.split)
    source = sample(source, size_for(model, source), arguments.images)
    images, labels = source.arrays()
    taps = spread_taps(backbone, images.shape[1])
    if arguments.what == "attention":
        rows = visualize.attention(backbone, images[:count], arguments.tap, arguments.power,
                                   arguments.turns)
        powers = [1.0] if arguments.tap else POWERS
        for tap, power in zip([arguments.tap] if arguments.tap else taps, powers, strict=False):
            found = visualize.rotation_equivariance(backbone, images[:64], tap,
                                                    arguments.power or power)
            print(f"{tap}: maps of turned pictures, turned back, correlate with the upright ones' "
                  f"by {found['turned_back']:.3f} (as they are, {found['as_they_are']:.3f})")
    elif arguments.what == "activations":
        tap = arguments.tap or taps[len(taps) // 2]
        units = arguments.unit or liveliest(backbone, images, tap)
        rows = visualize.activations(backbone, images, tap, units, count)
    elif arguments.what == "neighbours":
        rows = visualize.neighbours(backbone, images, range(min(4, len(images))),
                                    arguments.tap or taps[-1], count, arguments.grid)
    else:
        vectors = maps_of(backbone, images, arguments.tap or taps[-1], "avg")
        places = visualize.tsne(vectors, min(30.0, len(images) / 4))
        named = source.has_labels and len(source.class_names) <= 20
        visualize.scatter(places, labels if named else None, source.class_names if named else None,
                          None if named else images).save(arguments.out)
        print(arguments.out)
        return
    visualize.puzzle_sheet(rows).save(arguments.out)
    print(arguments.out)


def _explore(arguments):
    from keras_pretext import explore

    explore.serve(arguments.data, arguments.models, arguments.host, arguments.port,
                  arguments.split, arguments.images, lambda line: print(line, flush=True))


def _report(arguments):
    from keras_pretext.evaluation import report

    metrics = []
    for path in arguments.metrics:
        metrics += json.loads(pathlib.Path(path).read_text())
    print(report.write(arguments.models, arguments.out, arguments.data, arguments.split,
                       arguments.images, not arguments.no_pictures, metrics))


def _scoreboard(arguments):
    from keras_pretext.evaluation.report import scoreboard

    text = scoreboard(root=arguments.root)
    if arguments.out is None:
        print(text, end="")
        return
    from keras_pretext.training.checkpoint import write_atomically

    write_atomically(arguments.out, lambda path: path.write_text(text, encoding="utf-8"))
    print(arguments.out)


def _color_prior(arguments):
    from keras_pretext import data
    from keras_pretext.tasks import color_prior

    found = color_prior.write(arguments.out, data.open(arguments.data, arguments.split),
                              arguments.images)
    used = sum(count > 0 for count in found["counts"])
    print(f"{arguments.out}: {used} of 313 colours in {found['images'] - found['grey']} pictures, "
          f"{found['grey']} grey ones left out")


def _read(path):
    """A picture file as uint8 (height, width, 3)."""
    from keras_pretext.data.decode import UNREADABLE, decode, reason

    try:
        return decode(pathlib.Path(path).read_bytes())
    except UNREADABLE as error:
        raise ValueError(f"not a readable picture ({reason(error)}). Received: {path}") from None


def _audit(arguments):
    from keras_pretext import tasks
    from keras_pretext.evaluation.audit import audit

    rows = audit(tasks.get(arguments.task, **_settings(arguments.set)), arguments.probes,
                 steps=arguments.steps, seed=arguments.seed, sobel=arguments.sobel,
                 report=lambda row: print(row, flush=True))
    leaks = [row.probe for row in rows if row.leaks]
    print(f"{arguments.task} can be solved by: {', '.join(leaks)}" if leaks
          else f"{arguments.task}: no shortcut found")
    return 1 if leaks else 0


def _zoo(arguments):
    from keras_pretext import zoo

    if arguments.action == "list":
        for name in zoo.list():
            print(name)
        return
    if arguments.action == "fetch":
        if not arguments.source:
            raise ValueError("zoo fetch installs from somewhere: --from FOLDER, ARCHIVE or URL. "
                             "Received: none")
        for name in zoo.fetch(arguments.source, arguments.names, sha256=arguments.sha256):
            print(name)
        return
    names = zoo.list() if arguments.all else arguments.names
    if not names:
        raise ValueError(f"zoo {arguments.action} takes names or --all; there are "
                         f"{', '.join(zoo.list()) or 'none'}. Received: none")
    if arguments.action == "bundle":
        print(zoo.bundle(names, arguments.out))
        return
    for name in names:
        if arguments.action == "info":
            print(json.dumps(zoo.info(name), indent=1))
        else:
            print(f"{name}: {zoo.verify(name)}", flush=True)


def _serve_bundle(arguments):
    from keras_pretext import serving
    from keras_pretext.zoo import weights

    options = {"batch_sizes": arguments.batch_sizes} if arguments.batch_sizes else {}
    if arguments.whiten:
        stored = weights.read_arrays(arguments.whiten)
        if not {"mean", "matrix"} <= set(stored):
            raise ValueError("--whiten takes an .npz with mean and matrix. "
                             f"Received: {sorted(stored)} in {arguments.whiten}")
        options["whitening"] = stored["mean"], stored["matrix"]
    print(serving.serve_bundle(arguments.names, arguments.out, arguments.base, arguments.tap,
                               image_size=arguments.image_size, **options))


def _extract(arguments):
    from keras_pretext import serving

    keys = ("split", "taps", "pooling", "image_size", "dtype", "batch_size", "shard_size",
            "processes", "beam")
    plan = serving.extract(arguments.model, arguments.data, arguments.out,
                           **{key: getattr(arguments, key) for key in keys})
    shown = f", {plan['failed']} cannot be decoded: see failed.csv" if plan["failed"] else ""
    print(f"{arguments.out}: {plan['rows']} rows of {', '.join(plan['taps'])} in "
          f"{plan['shards']} files{shown}")


def _mine(arguments):
    from keras_pretext import mining

    recipe = {"paper": mining.MiningRecipe, "small": mining.MiningRecipe.small}[arguments.preset]()
    counts = mining.mine(arguments.videos, arguments.out, recipe.replace(
        **_settings(arguments.set)), arguments.beam)
    print(f"{arguments.out}: {counts['tracks']} tracks of {counts['videos']} videos, "
          f"{counts['parents']} parents of {counts['clusters']} clusters, {counts['intra']} intra, "
          f"{counts['inter']} inter and {counts['transitive']} transitive pairs; see "
          f"{os.path.join(arguments.out, 'report.html')}")


def _neighbours(arguments):
    from keras_pretext import serving
    from keras_pretext.visualize import puzzle_sheet

    index = serving.Index(arguments.index, arguments.tap)
    puzzle_sheet(serving.neighbours(index, _read(arguments.image), arguments.count)
                 ).save(arguments.out)
    print(arguments.out)


def _profile(arguments):
    from keras_pretext.training import load_recipe
    from keras_pretext.training.profiling import profile

    recipe = load_recipe(arguments.recipe, **_settings(arguments.set))
    rates = profile(recipe, arguments.seconds, lambda name, rate: print(
        f"{name:10} {rate:10.0f} images/s", flush=True))
    slow = min((name for name in rates if name != "whole"), key=rates.get)
    share = rates["whole"] / rates[slow]
    print(f"the slow part is the {slow}: the whole runs at {share:.0%} of it")


def _demo(arguments):
    from keras_pretext.demo import demo

    demo(arguments.out)


if __name__ == "__main__":
    sys.exit(main())
