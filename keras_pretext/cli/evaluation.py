"""Commands that measure what was learnt."""

import pathlib

from keras_pretext.cli.common import check_target, read_json, read_model, settings


def add(command):
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
    sub.add_argument("--label", help="what cards and reports call these weights, such as "
                     "supervised; default: the model's own, or random")
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

    sub = command("audit", _audit, "look for shortcuts: can a task be solved without content?")
    sub.add_argument("--task", required=True)
    sub.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE",
                     help="an option of the task")
    sub.add_argument("--probes", nargs="*", help="default: all")
    sub.add_argument("--sobel", action="store_true", help="the network sees edges only")
    sub.add_argument("--side", type=int, help="of your pictures, in pixels: where the task "
                     "enlarges them")
    sub.add_argument("--steps", type=int, default=400)
    sub.add_argument("--seed", type=int, default=0)

    sub = command("audit-compression", _audit_compression,
                  "does a trained model solve its puzzle by JPEG compression?")
    sub.add_argument("model", help="a run folder, or a zoo name")
    sub.add_argument("--data", required=True, help="pictures of at least three times the side")
    sub.add_argument("--split", default="train")
    sub.add_argument("--side", type=int, required=True,
                     help="of the pictures that it was trained on, in pixels")
    sub.add_argument("--quality", type=int, default=75, help="of JPEG, 1 to 100")
    sub.add_argument("--images", type=int, default=256, help="pictures to look at, at most")

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
    sub.add_argument("--page", help="a Markdown file whose table of entries is made anew as well")


def _probe(arguments):
    import keras

    from keras_pretext import evaluation

    if arguments.json:
        check_target(arguments.json)
    measure = evaluation.protocol(arguments.protocol)
    options = _protocol_options(measure, arguments)
    train, test = _splits(arguments)
    model = read_model(arguments.model)
    if arguments.random:
        keras.utils.set_random_seed(0)
        model = model.task.attach(type(model.backbone).from_config(model.backbone.get_config()))
    results = measure(model, train, test, **options)
    if not isinstance(results, dict):
        results = {None: results}
    for count, one in results.items():
        one.settings["weights_from"] = arguments.label or (
            "random" if arguments.random else arguments.model)
        print(f"{count} labels a class, {one}" if count else one)
    if arguments.json:
        from keras_pretext.training.checkpoint import write_json

        write_json(arguments.json, [one.to_dict() for one in results.values()])


def _splits(arguments):
    """The labelled data to train on and to test on."""
    from keras_pretext import data
    from keras_pretext.data.source import check_held_out

    train = data.open(arguments.data, arguments.train_split)
    test = data.open(arguments.data, arguments.test_split)
    check_held_out(train, test)
    return train, test


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
    options.update(settings(arguments.set))
    _check_options(measure, arguments.protocol, options)
    return options


def _check_options(measure, protocol, options):
    """Raises ValueError for an option that neither a protocol takes nor what it passes them to."""
    import inspect

    from keras_pretext.evaluation import probe

    takes = inspect.signature(measure).parameters
    known, further = {*takes} - {"options"}, "options" in takes
    if further and "epochs" in takes:  # the protocols of whole pictures check theirs themselves
        trains, further = probe.run_probe if options.get("frozen", True) else probe.finetune, False
        known |= {*inspect.signature(trains).parameters}
    known -= {"protocol", "head", "model", "train", "test"}
    unknown = sorted(set(options) - known)
    if unknown and (not further or "frozen" in unknown):
        raise ValueError(f"{protocol} has no {', '.join(unknown)}; its options are "
                         f"{', '.join(sorted(known))}. Received: {unknown}")


def _curve(arguments):
    from keras_pretext import evaluation
    from keras_pretext.evaluation.over_training import over_training

    def show(row):
        pretext = " ".join(f"{k} {v:.4f}" for k, v in row["pretext"].items() if k != "images")
        print(f"epoch {row['epoch']:5d}  pretext {pretext}  object {100 * row['object']:.2f} % "
              f"+- {100 * row['object_std']:.2f}", flush=True)

    if arguments.json:
        check_target(arguments.json)
    measure, options = evaluation.protocol(arguments.protocol), settings(arguments.set)
    _check_options(measure, arguments.protocol, options)
    train, test = _splits(arguments)
    rows = over_training(arguments.run, train, test, arguments.tap, measure, show, **options)
    if arguments.json:
        from keras_pretext.training.checkpoint import write_json

        write_json(arguments.json, rows)


def _rescale(arguments):
    from keras_pretext import data
    from keras_pretext.evaluation.rescale import rescaled
    from keras_pretext.training.checkpoint import save_model

    out = pathlib.Path(arguments.out) / "final"
    if (out / "model.keras").exists():
        raise ValueError(f"this folder holds a model already: choose another. Received: {out}")
    check_target(out / "model.keras")
    model, found = rescaled(read_model(arguments.model), data.open(arguments.data, arguments.split),
                            arguments.init, arguments.images, arguments.seed)
    save_model(model, out / "model.keras")
    ratios = found["ratios"].values()
    print(f"{out.parent}: gradient to weight {min(ratios):.4g} to {max(ratios):.4g} in "
          f"{len(ratios)} layers, deviation of the last tap {found['output_std']:.3f}, after "
          f"{found['iterations']} rounds")


def _audit(arguments):
    from keras_pretext import tasks
    from keras_pretext.evaluation.audit import audit

    rows = audit(tasks.get(arguments.task, **settings(arguments.set)), arguments.probes,
                 steps=arguments.steps, seed=arguments.seed, sobel=arguments.sobel,
                 side=arguments.side, report=lambda row: print(row, flush=True))
    leaks = [row.probe for row in rows if row.leaks]
    print(f"{arguments.task} can be solved by: {', '.join(leaks)}" if leaks
          else f"{arguments.task}: no shortcut found")
    return 1 if leaks else 0


def _audit_compression(arguments):
    from keras_pretext import data
    from keras_pretext.evaluation.audit import compression

    row = compression(read_model(arguments.model),
                      data.open(arguments.data, split=arguments.split), arguments.side,
                      quality=arguments.quality, pictures=arguments.images)
    print(row)
    return 1 if row.leaks else 0


def _report(arguments):
    from keras_pretext.evaluation import report

    metrics = []
    for path in arguments.metrics:
        metrics += read_json(path)
    print(report.write(arguments.models, arguments.out, arguments.data, arguments.split,
                       arguments.images, not arguments.no_pictures, metrics))


def _scoreboard(arguments):
    from keras_pretext.evaluation.report import scoreboard, with_entries
    from keras_pretext.training.checkpoint import write_atomically

    made = {arguments.out: scoreboard(root=arguments.root)}
    if arguments.page:
        page = pathlib.Path(arguments.page).read_text(encoding="utf-8")
        made[arguments.page] = with_entries(page, arguments.root)
    for name, text in made.items():
        if name is None:
            print(text, end="")
            continue
        write_atomically(name, lambda path, text=text: path.write_text(text, encoding="utf-8"))
        print(name)
