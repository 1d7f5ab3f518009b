"""Commands on published models."""

import argparse
import json
import os
import sys

from keras_pretext.cli.common import check_picture, read_json, read_picture


def add(command):
    sub = command("publish", _publish, "make a zoo entry of a finished run")
    sub.add_argument("run")
    sub.add_argument("name")
    sub.add_argument("--root", default="zoo")
    sub.add_argument("--metrics", nargs="*", default=[], help="JSON files that `probe` wrote")
    sub.add_argument("--licence", default="Apache-2.0 (weights); data under its own terms")
    sub.add_argument("--limits", default="", help="what not to expect of it")
    sub.add_argument("--card", help="a JSON file with more fields of the card, or other values")
    sub.add_argument("--tried", action="store_true", help="not worth an entry: only keep what "
                     "came out, for the scoreboard; --limits says why")

    sub = command("zoo", _zoo, "list, describe, verify, bundle and fetch published models, "
                  "and add to their cards")
    sub.add_argument("action", choices=["list", "info", "verify", "bundle", "fetch",
                                        "add-metrics"])
    sub.add_argument("names", nargs="*", metavar="NAME", help="name or name@version or a folder")
    sub.add_argument("--from", dest="source", metavar="SOURCE",
                     help="what `fetch` installs from: a folder, an archive, or its URL")
    sub.add_argument("--sha256", help="of that archive")
    sub.add_argument("--all", action="store_true", help="every published model")
    sub.add_argument("--metrics", nargs="+", default=[], metavar="FILE",
                     help="what `probe --json` wrote, for `add-metrics` to put on a card")
    sub.add_argument("--over-training", metavar="FILE", help="what `curve --json` wrote, likewise")
    sub.add_argument("--limits", help="what the card says of limits from now on, likewise")
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
    sub.add_argument("--dtype", default="float32",
                     help="float32, or mixed_bfloat16: faster, features off by about 1 %%")

    sub = command("extract", _extract, "write the features of every picture as Parquet",
                  resumes=True)
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

    sub = command("neighbours", _neighbours, "draw the pictures nearest to one, of an extraction")
    sub.add_argument("image", help="a picture file")
    sub.add_argument("--index", required=True, help="a folder that `extract` wrote")
    sub.add_argument("--tap", help="default: the last that was extracted")
    sub.add_argument("--count", type=int, default=6)
    sub.add_argument("--out", default="neighbours.png")


def _publish(arguments):
    from keras_pretext import zoo
    from keras_pretext.training import load_run

    card = {"licence": arguments.licence, "limits": arguments.limits,
            "metrics": _measured(arguments.metrics)}
    if arguments.tried:
        if arguments.card:
            raise ValueError("--tried keeps no card. Received: --card")
        print(zoo.set_aside(arguments.run, arguments.name, arguments.root, card["metrics"],
                            arguments.limits))
        return
    if arguments.card:
        card.update(read_json(arguments.card))
    print(zoo.publish(load_run(arguments.run), arguments.name, root=arguments.root, card=card,
                      run=arguments.run))


def _measured(paths):
    """The results that some files of `probe --json` hold."""
    return [metric for path in paths for metric in read_json(path)]


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
    if arguments.action == "add-metrics":
        if len(names) != 1 or not (arguments.metrics or arguments.over_training
                                   or arguments.limits):
            raise ValueError("add-metrics takes one entry and its results: zoo add-metrics NAME "
                             f"--metrics FILE. Received: {names}, {arguments.metrics}")
        rows = _measured([arguments.over_training]) if arguments.over_training else ()
        count = zoo.add_metrics(names[0], _measured(arguments.metrics), rows, arguments.limits)
        print(f"{names[0]}: {count} added{', limits written' if arguments.limits else ''}")
        return
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
                               image_size=arguments.image_size, dtype=arguments.dtype, **options))


def _extract(arguments):
    from keras_pretext import serving

    keys = ("split", "taps", "pooling", "image_size", "dtype", "batch_size", "shard_size",
            "processes", "beam")
    plan = serving.extract(arguments.model, arguments.data, arguments.out,
                           **{key: getattr(arguments, key) for key in keys})
    print(f"{arguments.out}: {plan['rows']} rows of {', '.join(plan['taps'])} in "
          f"{plan['shards']} files")
    if plan["failed"]:
        print(f"{plan['failed']} pictures are left out, see "
              f"{os.path.join(arguments.out, serving.extraction.FAILED)}", file=sys.stderr)


def _neighbours(arguments):
    from keras_pretext import serving
    from keras_pretext.visualize import puzzle_sheet

    check_picture(arguments.out)
    index = serving.Index(arguments.index, arguments.tap)
    puzzle_sheet(serving.neighbours(index, read_picture(arguments.image), arguments.count)
                 ).save(arguments.out)
    print(arguments.out)
