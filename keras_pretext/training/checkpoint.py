"""Checkpoints: every variable of a training state in one `.npz`, written beside, then renamed."""

import json
import os
import pathlib
import zipfile

import numpy as np


def write_atomically(path, write):
    """Calls `write(temporary_path)`, flushes it to the disk and renames it to `path`.

    Raises:
        OSError: where there is no room or no permission; what was at `path` is untouched.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"could not be written ({error.strerror}); what was written "
                      "before is whole, and the same command goes on from there. Received",
                      str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    write_atomically(path, lambda p: p.write_text(json.dumps(value, indent=1) + "\n"))


def save_model(model, path):
    """Writes a `.keras` file, whole or not at all."""
    def write(temporary):
        named = temporary.with_suffix(".keras")  # Keras takes no other
        try:
            model.save(named)
            os.replace(named, temporary)
        finally:
            named.unlink(missing_ok=True)

    write_atomically(path, write)


def variables_of(model):
    """Every variable that training changes, in a fixed order: model, seeds, optimizers, metrics.
    """
    seen, out = set(), []
    for v in [*model.variables, *(v for one in model.optimizers for v in one.variables),
              *model.metrics_variables]:
        if id(v) not in seen:
            seen.add(id(v))
            out.append(v)
    return out


def save(folder, step, variables, state, tables=None):
    """Writes `step-<step>.npz` and removes all but the newest two.

    Args:
        variables: arrays in the order of `variables_of`.
        state: what else JSON can hold.
        tables: dict of arrays that the task has learnt from the data.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"v{k:05d}": np.asarray(v) for k, v in enumerate(variables)}
    arrays.update({f"table_{name}": value for name, value in (tables or {}).items()})
    arrays["state"] = np.frombuffer(json.dumps({**state, "step": step}).encode(), np.uint8)

    def write(path):
        with open(path, "wb") as file:
            np.savez(file, **arrays)

    write_atomically(path_of(folder, step), write)
    mine = path_of(folder, step)
    for old in sorted(p for p in folder.glob("step-*.npz") if p.name < mine.name)[:-1]:
        old.unlink()


def path_of(folder, step):
    return pathlib.Path(folder) / f"step-{step:010d}.npz"


def latest(folder):
    """`(variables, state, tables)` of the newest whole checkpoint, or None where there is none.

    Raises:
        ValueError: where there are some, and none can be read: training would begin anew.
    """
    paths = sorted(pathlib.Path(folder).glob("step-*.npz"), reverse=True)
    found = newest(paths)
    if paths and found is None:
        raise ValueError("none of the checkpoints of this run can be read; make them readable, or "
                         f"remove them to begin anew. Received: {', '.join(map(str, paths))}")
    return found


def newest(paths):
    """The same of the first of some paths that can be read."""
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as file:
                state = json.loads(file["state"].tobytes())
                tables = {n[6:]: file[n] for n in file.files if n.startswith("table_")}
                names = sorted(n for n in file.files if n[0] == "v")
                return [file[n] for n in names], state, tables
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            continue
    return None
