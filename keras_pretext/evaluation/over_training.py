"""Pretext against object accuracy over training (Gidaris et al., 2018, Figure 5a)."""

from keras_pretext.evaluation.nonlinear import nonlinear
from keras_pretext.training.snapshots import load_snapshot, snapshots


def over_training(run, train, test, tap, measure=nonlinear, report=None, **options):
    """A probe, trained from scratch, on every snapshot of a run.

    In the paper object accuracy rises fast and then hardly, while the pretext task's goes on:
    features must not be chosen by pretext accuracy.

    Args:
        run: a finished run's folder with snapshots (`pretrain --snapshots`).
        train, test: labelled sources.
        tap: one tap; the second block in the paper.
        measure: a protocol's function; the non-linear probe in the paper.
        report: called with every row.
        options: of `measure`.

    Returns:
        list of dicts, one a snapshot: `epoch`, `pretext` (metrics of the task on its test split;
        before training what chance gives), `object` (mean test accuracy over the probe's seeds),
        `object_std`, `protocol`, `tap`.

    Raises:
        ValueError: no snapshots, an unfinished run, and what `measure` raises.
    """
    rows = []
    for epoch, path in snapshots(run):
        model, metrics = load_snapshot(run, path)
        result = measure(model, train, test, taps=tap, **options)
        rows.append({"epoch": epoch, "pretext": metrics, "object": result.mean(tap),
                     "object_std": result.std(tap), "protocol": result.protocol, "tap": tap})
        if report:
            report(rows[-1])
    return rows
