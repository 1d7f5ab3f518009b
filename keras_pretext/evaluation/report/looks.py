"""What is found by looking into a model with some pictures: answers, maps, neighbours."""

import numpy as np

from keras_pretext.backbones.base import backbone_of
from keras_pretext.data.arrays import ArraySource
from keras_pretext.evaluation.features import size_for
from keras_pretext.image.framing import CentreCrop
from keras_pretext.training import answers, pretext_metrics
from keras_pretext.visualize import activations, attention, neighbours, rotation_equivariance
from keras_pretext.visualize.activations import liveliest
from keras_pretext.visualize.attention import POWERS, spread_taps
from keras_pretext.visualize.filters import first_layer_filters
from keras_pretext.visualize.maps import maps_of
from keras_pretext.visualize.tsne import scatter, tsne

CLASSES = 20  # a confusion matrix of more cannot be read
CROPPED = 100  # pictures whose crops are searched: nine crops each take nine times as long
NEAREST = 20  # as in knn-cosine


def sample(source, size, count, seed=0):
    """Some pictures of a source, drawn without replacement, centrally framed, as a source.

    Args:
        size: side in pixels.
        count: how many, at most.

    Returns:
        ArraySource of uint8 `(n, size, size, 3)` with the labels, if there are any.

    Raises:
        ValueError: for a count below 2, or a source of fewer than 2 pictures.
    """
    import keras

    count = min(count, source.num_examples)
    if count < 2:
        raise ValueError(f"at least 2 pictures are looked at. Received: {count} of "
                         f"{source.name!r}, split {source.split!r}")
    index = np.sort(np.random.default_rng(seed).choice(source.num_examples, count, replace=False))
    framing, parts = CentreCrop(size), []
    for _, images in source.pictures(index):
        draws = keras.ops.zeros((len(images), framing.num_draws))
        parts.append(keras.ops.convert_to_numpy(
            framing(keras.ops.convert_to_tensor(images), draws)))
    labels = np.asarray(source.labels())[index] if source.has_labels else None
    return ArraySource(np.concatenate(parts), labels, name=source.name, split=source.split,
                       **({"class_names": source.class_names} if source.has_labels else {}))


def looks(model, source, pictures=4, near=6):
    """Everything that the report draws of a model.

    Args:
        model: a PretextModel or a zoo model.
        source: what `sample` gave, at `size_for(model, source)`.
        pictures: rows of attention maps, puzzles and neighbours.
        near: neighbours a query.

    Returns:
        dict: `figures`, a list of (heading, text, rows of (title, uint8 picture), marks or None)
        and what JSON can hold: `equivariance` (tap to `power`, `turned_back`, `as_they_are`),
        `pretext_confusion` and `knn_confusion` (`classes`, `matrix`, `accuracy`, `pictures`, or
        None), and `left_out`: what could not be made, and why.
    """
    images, _ = source.arrays()
    backbone, left_out, figures = backbone_of(model), [], []
    shown = images[:pictures]

    try:
        rows, marks = answers.answered(model.task, model, source, pictures, own_examples=False)
        figures.append(("Puzzles and answers" if marks else "Puzzles",
                        "What the pretext task asks of the first pictures" + (
                            "; green titles are right answers, red ones wrong." if marks else "."),
                        rows, marks))
    except ValueError as error:  # a picture that the task's preview refuses
        left_out.append(f"puzzles: {error}")
    try:
        filters = first_layer_filters(backbone)
        figures.append(("Filters", "Of the first convolution, each stretched by itself.",
                        [[("", filters)]], None))
    except ValueError as error:
        left_out.append(f"filters: {error}")

    taps = spread_taps(backbone, images.shape[1])
    rows = attention(backbone, shown) + attention(backbone, shown[:1], turns=True)[1:]
    figures.append(("Attention maps", "Where a layer is active: the sum over channels of the "
                    "activations to the power p; the first picture also turned.", rows, None))
    equivariance = {
        tap: {"power": power, **rotation_equivariance(backbone, images[:64], tap, power)}
        for tap, power in zip(taps, POWERS, strict=False)}

    middle = taps[len(taps) // 2]
    try:
        units = liveliest(backbone, images, middle, 4)
        figures.append((f"Units of {middle}", "The parts of pictures that a unit sees where it is "
                        "most active; white is outside the picture.",
                        activations(backbone, images, middle, units, near), None))
    except ValueError as error:
        left_out.append(f"top activations: {error}")

    for heading, grid, text in (("Nearest neighbours", 1, "Whole pictures"),
                                ("Nearest crops", 3, "Crops of half the side")):
        some = images[:len(images) if grid == 1 else CROPPED]
        count = min(near, len(some) - 1)
        try:
            figures.append((heading, f"{text}, of {len(some)}, by the cosine of {taps[-1]}, "
                            "averaged; the query first.",
                            neighbours(backbone, some, range(len(shown)), taps[-1], count, grid),
                            None))
        except ValueError as error:
            left_out.append(f"{heading.lower()}: {error}")

    vectors = maps_of(backbone, images, taps[-1], "avg")
    try:
        places = tsne(vectors, perplexity=min(30.0, len(images) / 4))
        few = source.has_labels and len(source.class_names) <= CLASSES
        sheet = scatter(places, source.arrays()[1] if few else None,
                        source.class_names if few else None, None if few else images)
        figures.append(("t-SNE", f"The pictures' features of {taps[-1]}, averaged.",
                        [[("", np.asarray(sheet))]], None))
    except (ImportError, ValueError) as error:
        left_out.append(f"t-SNE: {error}")
    return {"figures": figures, "equivariance": equivariance, "left_out": left_out,
            "pretext_confusion": pretext_confusion(model, source),
            "knn_confusion": knn_confusion(vectors, source, taps[-1])}


def pretext_confusion(model, source):
    """Which pseudolabel was taken for which, over a source's pictures framed centrally.

    Returns:
        dict `classes` (names), `matrix` (rows: true), `accuracy`, `pictures`; None for tasks
        that do not classify, or into more than 20 classes.
    """
    layer = model.task.layer(augment=False)
    if not answers.classifies(model.task, layer, own_examples=False):
        return None
    true, said, ways = [], [], 0
    run = pretext_metrics.forward(model)
    for inputs, labels in pretext_metrics.batches(source, layer, 32, source.num_examples):
        outputs = np.asarray(run(inputs))
        ways = outputs.shape[-1]
        if ways > CLASSES:
            return None
        true.append(np.asarray(labels).ravel())
        said.append(outputs.argmax(-1).ravel())
    names = getattr(model.task, "angles", None)
    names = [f"{angle}\N{DEGREE SIGN}" for angle in names] if names else [*map(str, range(ways))]
    if layer.uses_labels:
        names = [*source.class_names]
    return confusion(np.concatenate(true), np.concatenate(said), names, source.num_examples)


def knn_confusion(vectors, source, tap):
    """Labels by a vote of the 20 nearest other pictures, by cosine: for looking, no protocol.

    Returns:
        dict as `pretext_confusion`; None without labels, or with more than 20 classes.
    """
    if not source.has_labels or len(source.class_names) > CLASSES:
        return None
    labels = np.asarray(source.arrays()[1])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    count = min(NEAREST, len(labels) - 1)
    near = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
    votes = np.zeros((len(labels), len(source.class_names)))
    weight = np.exp((np.take_along_axis(cosine, near, 1) - 1) / 0.07)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels[near]), weight)
    return {**confusion(labels, votes.argmax(1), [*source.class_names], len(labels)), "tap": tap}


def confusion(true, said, names, pictures):
    """Counts of (true, said) as a dict that JSON can hold."""
    matrix = np.zeros((len(names), len(names)), "int64")
    np.add.at(matrix, (true, said), 1)
    return {"classes": [str(name) for name in names], "matrix": matrix.tolist(),
            "accuracy": float(np.trace(matrix) / max(1, matrix.sum())), "pictures": int(pictures)}


def source_for(model, card, data=None, split=None, count=400):
    """The pictures that a report looks at: `data`, or what the card says it was tested on.

    Raises:
        ValueError: where they cannot be opened, with what to pass instead.
    """
    from keras_pretext import data as sources

    known, recipe = card.get("data") or {}, card.get("recipe") or {}
    name = data or recipe.get("data") or known.get("name")
    split = split or ("test" if data else recipe.get("test_split")) or "test"
    if not name:
        raise ValueError("the card does not say which pictures it was tested on: pass --data NAME, "
                         f"or --no-pictures. Received: {card['name']}")
    try:
        source = sources.open(name, split)
    except (ValueError, OSError, ImportError) as error:
        raise ValueError(f"the pictures to look at cannot be opened ({error}). Pass --data NAME "
                         "(`scenes` is in the package) and --split, or --no-pictures. "
                         f"Received: {name!r}, split {split!r}") from None
    return sample(source, size_for(model, source), count)
