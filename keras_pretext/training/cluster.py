"""Several processes, on as many hosts, that train one model together."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

_EXAMPLE = ('{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, '
            '"task": {"type": "worker", "index": 0}}')
_JOBS = ("chief", "worker")
_WATCHED, _LOST = "KERAS_PRETEXT_WATCHED_BY", 75  # the code of a process that lost another host
_LOSSES, _WITHIN, _PAUSE = 10, 1800.0, 5.0  # so many within so many seconds are too many
PATIENCE = 120.0  # seconds that a file of the chief may take to show on another host


def checked_config(text):
    """The value of TF_CONFIG as a dict.

    Raises:
        ValueError: unless it names the hosts, each with a port, and which of them this one is.
    """
    def refuse(what):
        raise ValueError(f"{what}. Every host sets TF_CONFIG, such as {_EXAMPLE}, with an index of "
                         f"its own. Received: TF_CONFIG={text!r}")

    if not text:
        refuse("training on several hosts needs TF_CONFIG")
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        refuse(f"TF_CONFIG is not JSON ({error})")
    jobs, task = (config.get(key) if isinstance(config, dict) else None
                  for key in ("cluster", "task"))
    if not isinstance(jobs, dict) or not jobs or not isinstance(task, dict):
        refuse('TF_CONFIG has a "cluster" and a "task"')
    for job, hosts in jobs.items():
        if job not in _JOBS:
            refuse(f"the hosts of a cluster are chief and worker, not {job!r}")
        if not isinstance(hosts, list) or not hosts:
            refuse(f'"{job}" is a list of HOST:PORT')
        for host in hosts:
            if not isinstance(host, str) or not host.rpartition(":")[2].isdigit():
                refuse(f"a host is HOST:PORT, not {host!r}")
    hosts = [host for job in jobs.values() for host in job]
    if len(set(hosts)) < len(hosts):
        refuse("a host and port stands there twice")
    if len(jobs.get("chief", ["one"])) > 1:
        refuse("there is one chief")
    kind, index = task.get("type"), task.get("index")
    if kind not in jobs:
        refuse(f'the type of "task" is one of {", ".join(jobs)}, not {kind!r}')
    if not isinstance(index, int) or not 0 <= index < len(jobs[kind]):
        refuse(f'the index of "task" is 0 to {len(jobs[kind]) - 1}, not {index!r}')
    return config


def multi_worker():
    """A `tf.distribute.MultiWorkerMirroredStrategy` over the hosts of `TF_CONFIG`.

    It returns when all hosts are there. It is made before anything else of TensorFlow runs.

    Raises:
        ValueError: for a `TF_CONFIG` that is missing or wrong, or another backend.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError("multi-worker is of the TensorFlow backend; on JAX it is data-parallel, "
                         "with the same TF_CONFIG. "
                         f"Received: {keras.backend.backend()!r}")
    config = checked_config(os.environ.get("TF_CONFIG"))
    import tensorflow as tf

    _say_waiting(config)
    return tf.distribute.MultiWorkerMirroredStrategy()


def _say_waiting(config):
    task, count = config["task"], len(_hosts(config)[0])
    print(f"{task['type']} {task['index']} of {count} hosts waits for the others", file=sys.stderr,
          flush=True)


def _hosts(config):
    """All hosts of a checked TF_CONFIG, the chief first, and which of them this one is."""
    jobs, task = config["cluster"], config["task"]
    hosts = [host for job in _JOBS for host in jobs.get(job, ())]
    return hosts, hosts.index(jobs[task["type"]][task["index"]])


def several():
    """Whether `TF_CONFIG` is there and names more than one host. Raises ValueError."""
    text = os.environ.get("TF_CONFIG")
    return bool(text) and len(_hosts(checked_config(text))[0]) > 1


def data_parallel():
    """A `keras.distribution.DataParallel` (JAX) over the devices of this host or, where
    `TF_CONFIG` names several, of all its hosts; then it returns when all are there, and is made
    before anything else of JAX runs.

    Raises:
        ValueError: on another backend, or for a `TF_CONFIG` that is wrong.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise ValueError("data-parallel is of the JAX backend (KERAS_BACKEND=jax); on TensorFlow "
                         f"it is mirrored. Received: {keras.backend.backend()!r}")
    if several():
        import jax

        config = checked_config(os.environ["TF_CONFIG"])
        hosts, index = _hosts(config)
        _say_waiting(config)
        jax.distributed.initialize(hosts[0], len(hosts), index, initialization_timeout=86400,
                                   heartbeat_timeout_seconds=60, shutdown_timeout_seconds=30)
    return keras.distribution.DataParallel()


def of(strategy):
    """The `Cluster` of a strategy, which may be None."""
    if hasattr(strategy, "cluster_resolver") and strategy.cluster_resolver is not None:
        jobs = strategy.cluster_resolver.cluster_spec().as_dict()
        if sum(map(len, jobs.values())) > 1:
            return TensorFlowCluster(strategy, jobs)
    if hasattr(strategy, "device_mesh"):
        import jax

        if jax.process_count() > 1:
            return JaxCluster()
    return Cluster()


class Cluster:
    """What a process has to know of those it trains with. This one is alone.

    Attributes:
        chief: whether this process writes the run's folder.
        index, count: which of how many processes.
    """

    chief, index, count = True, 0, 1

    def total(self, number):
        """The sum of the processes' integers. All wait for each other here."""
        return number

    def own(self, variables):
        """A context in which the chief changes variables without the others."""
        return contextlib.nullcontext()

    def agreed(self, number):
        """The chief's number."""
        return int(self.total(number if self.chief else 0))

    def together(self, act):
        """What `act()` gives; where it fails in one process, no process goes on.

        Raises:
            ValueError: where it has failed in another process.
        """
        if self.count == 1:
            return act()  # not caught, so that its trace is whole
        error = found = None
        try:
            found = act()
        except (ValueError, RuntimeError, ImportError, OSError) as caught:
            error = caught
        failed = int(self.total(int(error is not None)))
        if error is not None:
            raise error
        if failed:
            raise ValueError("another host could not go on, and says why in its own output. "
                             f"Received: {failed} of {self.count} hosts that failed")
        return found

    def chief_first(self, act):
        """What `act()` gives, on the chief before it is begun on the others."""
        if self.chief:
            found = self.together(act)
            self.together(lambda: None)
            return found
        self.together(lambda: None)
        return self.together(act)

    def awaited(self, path):
        """Waits until a file that the chief has written shows in this host's view of the folder.

        Raises:
            ValueError: where it does not.
        """
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            if time.monotonic() > deadline:
                raise ValueError("all hosts see the same folder of the run, on a shared file "
                                 f"system: this one does not. Received: no {path}")
            time.sleep(0.5)
            os.listdir(path.parent) if path.parent.is_dir() else None  # NFS looks again
        return path


class TensorFlowCluster(Cluster):
    """The processes of a `MultiWorkerMirroredStrategy`, in the order of its replicas."""

    def __init__(self, strategy, jobs):
        import tensorflow as tf

        resolver, chiefs = strategy.cluster_resolver, len(jobs.get("chief", ()))
        self.count = sum(map(len, jobs.values()))
        self.index = resolver.task_id + (chiefs if resolver.task_type == "worker" else 0)
        self.chief = self.index == 0
        share = strategy.num_replicas_in_sync // self.count

        @tf.function
        def total(number):
            summed = strategy.reduce(tf.distribute.ReduceOp.SUM,
                                     strategy.run(tf.identity, args=(number,)), axis=None)
            return summed / share  # every replica of a host has given its number

        self._total = lambda number: float(total(tf.constant(number, tf.float64)))
        self._whole = tf.function(lambda value: strategy.gather(value, axis=0))

    def total(self, number):
        return self._total(number)

    def whole(self, value):
        """A batch's values from the replicas of all hosts, in order, as one NumPy array."""
        return self._whole(value).numpy()


class JaxCluster(Cluster):
    """The processes of `jax.distributed`."""

    def __init__(self):
        import jax

        self.index, self.count = jax.process_index(), jax.process_count()
        self.chief = self.index == 0

    def total(self, number):
        import numpy as np
        from jax.experimental import multihost_utils

        return int(multihost_utils.process_allgather(np.int32(number)).sum())

    def whole(self, value):
        """A batch's values from the devices of all hosts, in order, as one NumPy array."""
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(value, tiled=True)

    @contextlib.contextmanager
    def own(self, variables):
        import numpy as np

        layouts = [v._layout for v in variables]  # with it, all hosts assign together
        for v in variables:
            v._layout = None
            v.assign(np.asarray(v.value))
        try:
            yield
        finally:
            for v, layout in zip(variables, layouts, strict=True):
                v._layout = layout


class Leaving:
    """A context that, where another host is lost, ends this process for `watched` to begin anew.

    Neither TensorFlow nor JAX takes a host back into a running cluster: the others leave it too.
    And JAX waits at its end for the hosts that are lost.
    """

    def __enter__(self):
        if os.environ.get(_WATCHED) != str(os.getppid()):  # it has died already
            os._exit(128 + signal.SIGKILL)
        return self

    def __exit__(self, kind, error, trace):
        if error is not None and _of_a_lost_host(error):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_LOST)


def _of_a_lost_host(error):
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        errors = tf.errors
        return isinstance(error, errors.UnavailableError | errors.AbortedError
                          | errors.CancelledError | errors.DeadlineExceededError)
    # what XLA raises for a broken collective is a ValueError or a JaxRuntimeError
    return re.match(r"[A-Z_]+: ", str(error)) and re.search(
        "gloo|nccl|coordination|heartbeat|socket|connection", str(error), re.IGNORECASE)


def watched():
    """Runs this command once more in a process of its own; begins that anew, to wait and resume,
    whenever it has lost another host. Returns its exit code.

    JAX aborts a process that has lost the first host.
    """
    child, ended, losses = None, [], []

    def end(number, _):
        ended.append(number)
        if number == signal.SIGTERM and child is not None and child.poll() is None:
            child.send_signal(number)

    former = [(number, signal.signal(number, end)) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        while True:
            child = subprocess.Popen(
                sys.orig_argv, executable=sys.executable, preexec_fn=_die_with_parent,
                env={**os.environ, _WATCHED: str(os.getpid())})
            code = child.wait()
            if ended and code == _LOST:
                return 128 + ended[0]
            if ended or code not in (_LOST, -signal.SIGABRT):
                return code if code >= 0 else 128 - code
            now = time.monotonic()
            losses = [then for then in losses if now - then < _WITHIN] + [now]
            if len(losses) >= _LOSSES:
                raise RuntimeError(f"other hosts were lost {_LOSSES} times within "
                                   f"{_WITHIN / 60:.0f} minutes. Received: exit code {code}")
            print("another host is lost: this one begins anew and waits for it", file=sys.stderr,
                  flush=True)
            time.sleep(_PAUSE)
            if ended:
                return 128 + ended[0]
    finally:
        for number, handler in former:
            signal.signal(number, handler)


def is_watched():
    return _WATCHED in os.environ


def _die_with_parent():
    """The system kills this process with its parent (Linux)."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
