"""Collects what a report holds and writes it."""

import pathlib

from keras_pretext.evaluation.report.facts import card_of, results
from keras_pretext.evaluation.report.looks import looks, source_for
from keras_pretext.evaluation.report.page import page
from keras_pretext.training.checkpoint import write_atomically, write_json


def write(models, out, data=None, split=None, images=400, pictures=True, metrics=()):
    """Writes `out/report.html`, one self-contained page, and `out/report.json`.

    The page holds what each model is and cost, every measured number beside the papers' rows of
    the same protocol, curves, and what is found by looking into the model with some pictures.
    The JSON holds the same but for the pictures: `models` (cards, with `equivariance`,
    `pretext_confusion`, `knn_confusion`, `left_out` and, of a run, `curves`) and `results` (see
    `facts.results`).

    Args:
        models: zoo names, folders of entries or of finished runs.
        out: a folder, made where it is missing.
        data, split: pictures to look at; by default those that the card was tested on.
        images: how many, drawn at random with a fixed seed.
        pictures: False leaves out what needs the model and pictures.
        metrics: more results of the (only) model, as `ProbeResult.to_dict` gives them.

    Returns:
        the page's path, a pathlib.Path.

    Raises:
        ValueError: for no model, one without a card or without any measured number, pictures
            that cannot be opened.
        OSError: where `out` cannot be written; a former report stays whole.
    """
    models = [models] if isinstance(models, str) else [str(model) for model in models]
    if not models:
        raise ValueError("a report is about at least one model. Received: none")
    if metrics and len(models) > 1:
        raise ValueError("more metrics are of one model. "
                         f"Received: {len(models)} models and {len(metrics)} metrics")
    cards = [card_of(model, metrics) for model in models]  # all, before long work starts
    figures = [[] for _ in cards]
    if pictures:
        for k, (name, card) in enumerate(zip(models, cards, strict=True)):
            model = open_model(name)
            found = looks(model, source_for(model, card, data, split, images))
            figures[k] = found.pop("figures")
            card.update(found)
            card.setdefault("taps", {tap.name: {"channels": tap.channels, "stride": tap.stride}
                                     for tap in model.backbone.taps.values()})
    facts = {"models": cards, "results": results(cards)}
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    text = page(facts, figures)
    write_atomically(out / "report.html", lambda path: path.write_text(text, encoding="utf-8"))
    write_json(out / "report.json", facts)
    return out / "report.html"


def open_model(name):
    """The PretextModel of a zoo entry, of the SavedModel in one, or of a run's folder."""
    path = pathlib.Path(name)
    if (path / "final").is_dir():
        from keras_pretext.training import load_run

        return load_run(path)
    from keras_pretext.zoo.entry import pretext_model

    if path.name == "saved_model.pb":
        path = path.parent
    if (path / "saved_model.pb").is_file():
        return pretext_model(path.resolve().parent)
    return pretext_model(name)
