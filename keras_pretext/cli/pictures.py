"""Commands that draw."""

from keras_pretext.cli.common import (
    check_count,
    check_picture,
    check_target,
    read_model,
    read_picture,
    settings,
)


def add(command):
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


def _preview(arguments):
    import numpy as np

    from keras_pretext import data, tasks
    from keras_pretext.data.draws import draws
    from keras_pretext.data.masks import seen_by
    from keras_pretext.training.answers import picture
    from keras_pretext.visualize import puzzle_sheet

    check_count(arguments.count)
    check_picture(arguments.out)
    task = tasks.get(arguments.task, **settings(arguments.set))
    if arguments.images:
        pictures = [read_picture(path) for path in arguments.images]
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

    check_picture(arguments.out)
    try:
        box = [int(number) for number in arguments.box.split(",")]
    except ValueError:
        raise ValueError("--box takes LEFT,TOP,WIDTH,HEIGHT, four whole numbers. "
                         f"Received: {arguments.box!r}") from None
    Image.fromarray(inpaint(read_model(arguments.model), read_picture(arguments.image), box)
                    ).save(arguments.out)
    print(arguments.out)


def _colorize(arguments):
    from PIL import Image

    from keras_pretext.visualize import colorize

    check_picture(arguments.out)
    out = colorize(read_model(arguments.model), read_picture(arguments.image),
                   arguments.temperature, arguments.size)
    Image.fromarray(out).save(arguments.out)
    print(arguments.out)


def _color_prior(arguments):
    from keras_pretext import data
    from keras_pretext.tasks import color_prior

    check_target(arguments.out)
    found = color_prior.write(arguments.out, data.open(arguments.data, arguments.split),
                              arguments.images)
    used = sum(count > 0 for count in found["counts"])
    print(f"{arguments.out}: {used} of 313 colours in {found['images'] - found['grey']} pictures, "
          f"{found['grey']} grey ones left out")


def _show(arguments):
    import numpy as np
    from PIL import Image

    from keras_pretext import data, visualize
    from keras_pretext.evaluation.features import check_taps, size_for
    from keras_pretext.evaluation.report.looks import sample
    from keras_pretext.visualize.activations import liveliest
    from keras_pretext.visualize.attention import POWERS, spread_taps
    from keras_pretext.visualize.maps import maps_of

    check_count(arguments.count)
    check_picture(arguments.out)
    model, count = read_model(arguments.model), arguments.count
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
