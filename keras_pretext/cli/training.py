"""Commands that train, and what training starts from."""

import argparse
import os
import platform
import sys

from keras_pretext.cli.common import settings


def add(command):
    sub = command("pretrain", _pretrain, "train a recipe; run it again to resume",
                  resumes=True)
    sub.add_argument("recipe", help="a recipe file, or a run folder to resume")
    sub.add_argument("--out", help="the run's folder; default runs/<name>")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                     help="another value for a field of the recipe (JSON, or a plain word)")
    sub.add_argument("--strategy", default="none",
                     choices=["none", "mirrored", "multi-worker", "data-parallel"],
                     help="mirrored: all GPUs of this host; multi-worker: those of all hosts of "
                     "TF_CONFIG; data-parallel: on JAX, of this host or those of TF_CONFIG")
    sub.add_argument("--input-servers", nargs="+", default=[], metavar="HOST:PORT",
                     help="let these make the batches, see input-server")
    sub.add_argument("--tensorboard", action="store_true", help="write event files to OUT/logs")
    sub.add_argument("--snapshots", type=int, metavar="EPOCHS",
                     help="keep the weights every so many epochs, for `curve`")
    sub.add_argument("--check", action="store_true", help="only check that it could start")

    sub = command("input-server", _input_server, "read and decode for trainings elsewhere "
                  "(tf.data service)")
    sub.add_argument("--port", type=int, default=5050, help="this one and the next are used")
    sub.add_argument("--host", default="127.0.0.1", help="this host's name for the trainers, which "
                     "opens the ports to the network; by default only this machine is served")

    sub = command("profile", _profile, "images/s of decoding, pipeline, model and the whole")
    sub.add_argument("recipe")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    sub.add_argument("--seconds", type=float, default=10)

    sub = command("mine", _mine, "mine pairs of patches, and masks of what moves, from videos",
                  resumes=True)
    sub.add_argument("videos", nargs="+", help="video files and folders of them")
    sub.add_argument("--out", required=True, help="a new folder, or one to go on in")
    sub.add_argument("--preset", choices=["paper", "small"], default="paper",
                     help="small: for some ten short clips")
    sub.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                     help="another value for a field of the mining recipe")
    sub.add_argument("--beam", nargs=argparse.REMAINDER, metavar="OPTION", default=[],
                     help="what follows are options of the Apache Beam pipeline")

    sub = command("demo", _demo, "the whole way on the embedded scenes, in a few minutes")
    sub.add_argument("--out", default="runs/demo")


def _pretrain(arguments):
    import keras

    from keras_pretext.training import cluster

    backend = {"multi-worker": "tensorflow", "data-parallel": "jax"}.get(arguments.strategy)
    if keras.backend.backend() != backend or not cluster.several():
        return _train(arguments)
    if not cluster.is_watched():
        return cluster.watched()
    with cluster.Leaving():
        return _train(arguments)


def _train(arguments):
    from keras_pretext.training import Trainer, cluster, load_recipe

    # a cluster is made before anything else of TensorFlow or JAX runs
    strategy = {"multi-worker": cluster.multi_worker, "data-parallel": cluster.data_parallel}.get(
        arguments.strategy, lambda: None)()
    recipe = load_recipe(arguments.recipe, **settings(arguments.set))
    out = arguments.out or (arguments.recipe if os.path.isdir(arguments.recipe)
                            else os.path.join("runs", recipe.name))
    if arguments.strategy == "mirrored":
        import tensorflow as tf

        strategy = tf.distribute.MirroredStrategy()
    callbacks = []
    if arguments.tensorboard:
        from keras_pretext.training.tensorboard import TensorBoard

        callbacks.append(TensorBoard(os.path.join(out, "logs")))
    if arguments.snapshots is not None:
        from keras_pretext.training.snapshots import Snapshots

        callbacks.append(Snapshots(arguments.snapshots))
    trainer = Trainer(recipe, out, strategy=strategy, callbacks=callbacks,
                      input_servers=arguments.input_servers)
    if arguments.check:
        print(f"{recipe.name}: {trainer.source.num_examples} images, {trainer.total_steps} steps, "
              f"{trainer.model.count_params()} parameters; ready in {out}")
        return
    row = trainer.run()
    if trainer.stopped:
        print(f"{recipe.name}: stopped after step {trainer.step}; the same command resumes",
              file=sys.stderr)
        return 143
    if not trainer.cluster.chief:
        return
    shown = {k: round(v, 4) for k, v in row.items() if k.startswith("test_") or k == "loss"}
    print(f"{recipe.name}: {shown}, chance {trainer.task.chance}; written to {out}/final")


def _profile(arguments):
    from keras_pretext.training import load_recipe
    from keras_pretext.training.precision import advice
    from keras_pretext.training.profiling import profile

    recipe = load_recipe(arguments.recipe, **settings(arguments.set))
    rates = profile(recipe, arguments.seconds, lambda name, rate: print(
        f"{name:10} {rate:10.0f} images/s", flush=True))
    slow = min((name for name in rates if name != "whole"), key=rates.get)
    share = rates["whole"] / rates[slow]
    print(f"the slow part is the {slow}: the whole runs at {share:.0%} of it")
    if found := advice(recipe.precision):
        print(found)


def _input_server(arguments):
    from keras_pretext.data import service

    service.serve(arguments.host, arguments.port, lambda line: print(line, flush=True))


def _mine(arguments):
    from keras_pretext import mining

    recipe = {"paper": mining.MiningRecipe, "small": mining.MiningRecipe.small}[arguments.preset]()
    counts = mining.mine(arguments.videos, arguments.out, recipe.replace(
        **settings(arguments.set)), arguments.beam)
    print(f"{arguments.out}: {counts['tracks']} tracks of {counts['videos']} videos, "
          f"{counts['parents']} parents of {counts['clusters']} clusters, {counts['intra']} intra, "
          f"{counts['inter']} inter and {counts['transitive']} transitive pairs; see "
          f"{os.path.join(arguments.out, 'report.html')}")


def _demo(arguments):
    # TensorFlow leaves oneDNN off on many x86 processors, where it saves a third of a step
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    from keras_pretext.demo import demo

    demo(arguments.out)
