"""Several processes, on as many hosts, that train one model together."""

import contextlib
import json
import os
import sys
import time

_EXAMPLE = ('{"cluster": {"worker": ["host-a:12345", "host-b:12345"]}, '
            '"task": {"type": "worker", "index": 0}}')
_JOBS = ("chief", "worker")
_ATTEMPTS, _PAUSE = "KERAS_PRETEXT_ATTEMPTS", 5.0
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
        raise ValueError("multi-worker is of the TensorFlow backend; on JAX it is data-parallel. "
                         f"Received: {keras.backend.backend()!r}")
    config = checked_config(os.environ.get("TF_CONFIG"))
    import tensorflow as tf

    jobs, task = config["cluster"], config["task"]
    count = sum(map(len, jobs.values()))
    print(f"{task['type']} {task['index']} of {count} hosts waits for the others", file=sys.stderr,
          flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy()


def data_parallel():
    """A `keras.distribution.DataParallel` over the devices of this host (JAX).

    Raises:
        ValueError: on another backend.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise ValueError("data-parallel is of the JAX backend (KERAS_BACKEND=jax); on TensorFlow "
                         f"it is mirrored. Received: {keras.backend.backend()!r}")
    return keras.distribution.DataParallel()


def of(strategy):
    """The `Cluster` of a strategy, which may be None."""
    if hasattr(strategy, "cluster_resolver") and strategy.cluster_resolver is not None:
        jobs = strategy.cluster_resolver.cluster_spec().as_dict()
        if sum(map(len, jobs.values())) > 1:
            return TensorFlowCluster(strategy, jobs)
    return Cluster()


class Cluster:
    """What a process has to know of those it trains with. This one is alone.

    Attributes:
        chief: whether this process writes the run's folder.
        index, count: which of how many processes.
    """

    chief, index, count = True, 0, 1

    def total(self, number):
        """The sum of the processes' numbers. All wait for each other here."""
        return number

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


class Rejoining:
    """A context that, where another host is lost, begins this process anew, to wait and resume.

    TensorFlow takes no host back into a running cluster: the others have to leave it too.

    Attributes:
        trainer: the Trainer inside, once there is one. Ten losses without a step are an error.
    """

    trainer = None

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        import tensorflow as tf

        errors = tf.errors
        if kind is None or not issubclass(kind, (
                errors.UnavailableError, errors.AbortedError, errors.CancelledError,
                errors.DeadlineExceededError)):
            return
        stepped = self.trainer is not None and self.trainer.step > self.trainer.begun
        attempts = 1 if stepped else int(os.environ.get(_ATTEMPTS, 0)) + 1
        if attempts > 10:
            raise RuntimeError("the cluster broke ten times before a step was made. Received: "
                               f"{error}") from error
        print("another host is lost: this one begins anew and waits for it", file=sys.stderr,
              flush=True)
        os.environ[_ATTEMPTS] = str(attempts)
        time.sleep(_PAUSE)
        for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
            if int(name) > 2:  # no socket of the old cluster may stay
                with contextlib.suppress(OSError):
                    os.set_inheritable(int(name), False)
        os.execv(sys.executable, sys.orig_argv)
