"""`keras-pretext`: one command, thin over the library. Heavy imports happen inside the commands."""

import argparse
import os
import sys

from keras_pretext.cli import evaluation, pictures, training, zoo


def main(argv=None):
    """Runs a command; returns the exit code: 0, or 2 with one line of explanation."""
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return arguments.command(arguments) or 0
    except KeyboardInterrupt:
        resumes = "; the same command resumes" if arguments.resumes else ""
        print(f"keras-pretext: stopped{resumes}", file=sys.stderr)
        return 130
    except Exception as error:
        if arguments.debug:
            raise
        expected = isinstance(error, ValueError | RuntimeError | ImportError | OSError)
        what = error if expected else f"{type(error).__name__}: {error} (--debug shows where)"
        print(f"keras-pretext: {what}", file=sys.stderr)
        return 2


def parser():
    top = argparse.ArgumentParser(prog="keras-pretext", description="Self-supervised pretext "
                                  "tasks: train on unlabelled images, probe, publish, load.")
    top.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, text, resumes=False):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=run, resumes=resumes)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS,
                         help=argparse.SUPPRESS)
        return sub

    for part in (training, evaluation, pictures, zoo):
        part.add(command)
    return top
