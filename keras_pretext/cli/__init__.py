"""`keras-pretext`: one command, thin over the library. Heavy imports happen inside the commands."""

import argparse
import logging
import os
import re
import sys

from keras_pretext.cli import evaluation, pictures, training, zoo

# What Keras makes of the error of a layer: the layer, the error's own words, its arguments.
_OF_A_LAYER = re.compile(r"Exception encountered when calling .*?\n\n\x1b\[1m(.*)\x1b\[0m\n\n"
                         r"Arguments received by .*", re.DOTALL)


def main(argv=None):
    """Runs a command; returns the exit code: 0, or 2 with one line of explanation.

    It is 130 after Ctrl-C, and 141 where nobody reads the output any more, as behind `| head`.
    """
    arguments = parser().parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("apache_beam.runners.common").addFilter(_no_interrupt)
    try:
        code = arguments.command(arguments) or 0
        print(end="", flush=True)
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still held
        return 141
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):  # of Beam
            resumes = "; the same command resumes" if arguments.resumes else ""
            print(f"keras-pretext: stopped{resumes}", file=sys.stderr)
            return 130
        if arguments.debug:
            raise
        expected = isinstance(error, ValueError | RuntimeError | ImportError | OSError)
        what = _OF_A_LAYER.sub(r"\1", str(error))
        what = what if expected else f"{type(error).__name__}: {what} (--debug shows where)"
        print(f"keras-pretext: {what}", file=sys.stderr)
        return 2


def _no_interrupt(record):
    """Of Beam's log, which shows a traceback of Ctrl-C before it makes another error of it."""
    return "KeyboardInterrupt" not in record.getMessage()


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
