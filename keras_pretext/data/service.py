"""Pictures that other processes read, decode and make puzzles of: the tf.data service.

With n servers the i-th computes the i-th part of every batch. A server is a dispatcher with one
worker, which gives its part in order; so the batches are those of the local pipeline, to the bit.
That each part is the one asked for is checked.
"""

import os
import queue
import signal
import socket
import threading

from keras_pretext.data import pipeline as pipelines
from keras_pretext.data.masks import seen_by

PATIENCE = 10.0  # seconds without a batch, or for a connection, until a server is looked for
_LOOPBACK = ("localhost", "127.0.0.1")


def serve(host="127.0.0.1", port=5050, ready=print):
    """Serves on `port`, and its worker's data on the next, until SIGTERM or SIGINT.

    Args:
        host: this host's name for the trainers. By default they are on this machine, and
            connections from elsewhere are refused; with a name, every network is listened to.
        ready: called with a line of text as soon as the server answers.

    Raises:
        ValueError: for ports that are taken, or where loopback cannot be kept to.
    """
    import tensorflow as tf

    if not 0 < port < 65535:
        raise ValueError(f"a port is 1 to 65534. Received: {port}")
    for number in (port, port + 1):
        try:
            with socket.create_server(("", number)):
                pass
        except OSError as error:
            raise ValueError(f"an input server needs its port and the next ({error.strerror}). "
                             f"Received: {port}, and {number} cannot be had") from None
    ended = threading.Event()
    former = [(number, signal.signal(number, lambda *_: ended.set()))
              for number in (signal.SIGTERM, signal.SIGINT)]
    service = tf.data.experimental.service
    try:
        dispatcher = service.DispatchServer(service.DispatcherConfig(
            port=port, job_gc_check_interval_ms=10_000, job_gc_timeout_ms=10_000))
        if host in _LOOPBACK:
            _only_loopback(port)
        worker = service.WorkerServer(service.WorkerConfig(
            dispatcher_address=f"localhost:{port}", worker_address=f"{host}:{port + 1}",
            port=port + 1))
        if host in _LOOPBACK:
            _only_loopback(port + 1)
        ready(f"input server: {host}:{port}, data on {port + 1}")
        while not ended.wait(3600):
            pass
        worker.stop()
        del dispatcher
    finally:
        for number, handler in former:
            signal.signal(number, handler)


def _only_loopback(port):
    """Keeps a port of this process, which TensorFlow opens to all networks, to this machine."""
    kept = 0
    try:
        for name in os.listdir("/proc/self/fd"):
            try:
                one = socket.socket(fileno=os.dup(int(name)))
            except OSError:  # no socket
                continue
            with one:
                if (one.family in (socket.AF_INET, socket.AF_INET6)
                        and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                        and one.getsockname()[1] == port):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
                    kept += 1
    except (OSError, AttributeError) as error:
        raise ValueError("this system cannot keep an input server to this machine; --host NAME "
                         f"opens it to the network. Received: {error}") from None
    if not kept:
        raise ValueError("an input server's port is not found among this process' own; --host "
                         f"NAME opens it to the network. Received: port {port}")


def check(servers, source, layer, batch_size, replicas=1):
    """Whether servers can give a training its batches.

    Args:
        servers: list of "HOST:PORT".
        batch_size: of all `replicas` together.

    Raises:
        ValueError: for addresses that are none, a batch that they cannot share, a source that is
            read with Python, or another backend than TensorFlow.
        RuntimeError: for a server that does not answer.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError("input servers are of the TensorFlow backend. "
                         f"Received: {keras.backend.backend()!r}")
    for server in servers:
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"an input server is HOST:PORT. Received: {server!r}")
    if len(set(servers)) < len(servers):
        raise ValueError(f"an input server stands there twice. Received: {servers}")
    if batch_size % (replicas * len(servers)):
        raise ValueError("batch_size is a multiple of the devices times the input servers, "
                         f"{replicas} * {len(servers)}. Received: {batch_size}")
    source = seen_by(source, layer)
    if not pipelines.held_in_memory(source) and _calls_python(source):
        raise ValueError("input servers cannot call Python of this process, which reads these "
                         "data. They serve a folder of plain JPEG files (RGB or grey, not turned "
                         "by EXIF), which they see under the same path; TFRecords of at most 512 "
                         "MB and pictures of one size that take at most 1 GB decoded, which are "
                         f"sent to them. Received: {source.name!r}")
    _answering(servers)


def _calls_python(source):
    """Whether reading an example is more than TensorFlow's own operations."""
    import tensorflow as tf

    traced = tf.function(source.fetch).get_concrete_function(tf.TensorSpec((), tf.int64))
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return any("PyFunc" in node.op for node in nodes)


def _answering(servers):
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), PATIENCE):
                pass
        except OSError as error:
            raise RuntimeError(
                "an input server does not answer. Start it (keras-pretext input-server) and give "
                "the same command again: a run that had begun resumes. "
                f"Received: {server} ({error.strerror or error})") from None


def joined(make, servers, share=pipelines.WHOLE, steps=None):
    """The tf.data.Dataset `make(share=share)`, every batch computed by all servers together.

    Args:
        make: as `pipeline`, endless; called with `share` and `workers`.
        servers: list of "HOST:PORT".
        share: of this host, as of `pipeline`.
        steps: how many whole batches; endless by default.
    """
    import tensorflow as tf

    service = tf.data.experimental.service
    (which, of), count = share, len(servers)
    # A server that was begun anew gives its numbers of tasks out again, and another stream's client
    # may then take what is ours: every part says which it is.
    token = int.from_bytes(os.urandom(7), "big")

    def served(part, server):
        numbered = part.enumerate().map(lambda number, batch: ([token, number], batch))
        return numbered.apply(service.distribute(
            service.ShardingPolicy.OFF, service=f"grpc://{server}", compression=None))

    def whole(number, *parts):
        for mark, _ in parts:
            tf.debugging.assert_equal(mark, [token, number], "a batch of another stream or step")
        return tf.nest.map_structure(lambda *values: tf.concat(values, 0),
                                     *(batch for _, batch in parts))

    parts = [served(make(share=([k * count + i for k in which], of * count),
                         workers=tf.data.AUTOTUNE), server) for i, server in enumerate(servers)]
    stream = tf.data.Dataset.zip((tf.data.Dataset.counter(), *parts)).map(whole)
    if steps is not None:
        stream = stream.take(steps * len(which))
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return stream.prefetch(2).with_options(options)


def watched(batches, servers, steps=None):
    """Yields the batches of a dataset of `joined`.

    Raises:
        RuntimeError: where a server is lost or begun anew, or cannot read a picture. TensorFlow
            by itself waits for a lost server for ever.
    """
    import tensorflow as tf

    iterator, asked, found = iter(batches), queue.Queue(), queue.Queue()

    def work():
        while asked.get():
            try:
                found.put((next(iterator), None))
            except Exception as error:
                found.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    done = 0
    try:
        while steps is None or done < steps:
            asked.put(True)
            batch = error = None
            while batch is None and error is None:
                try:
                    batch, error = found.get(timeout=PATIENCE)
                except queue.Empty:
                    _answering(servers)
            if isinstance(error, StopIteration | tf.errors.OpError):
                _answering(servers)
                why = str(error).splitlines()[0] if str(error) else "the stream has ended"
                raise RuntimeError(
                    "an input server was begun anew, or cannot read the data: they are to be seen "
                    "there under the same path. The same command resumes. "
                    f"Received: {why}, from {', '.join(servers)}") from None
            if error is not None:
                raise error
            done += 1
            yield batch
    finally:
        asked.put(False)
