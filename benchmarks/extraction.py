"""Extraction to Parquet against decoding alone and the network alone.

    python benchmarks/extraction.py [--pictures 1000] [--size 224] [--rounds 3] [--seconds 5]

JPEG files of scenes, AlexNet with random weights in bfloat16. On a host without a GPU decoding and
the network share the cores, so that the whole takes what both take together: the last line compares
with that.
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from _timing import ratio, show, take_turns, verdict
from PIL import Image

from keras_pretext import backbones, tasks, zoo
from keras_pretext.data import scenes
from keras_pretext.serving import extraction


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        compare(folder, arguments)


def compare(folder, arguments):
    size, count = arguments.size, arguments.pictures
    backbone = backbones.get("alexnet", flavour="rotnet", fc_units=(), image_size=size)
    entry = zoo.publish(tasks.get("rotation", image_size=size).attach(backbone), "alexnet",
                        root=folder, card={"licence": "none"}, saved_model=False)
    (folder / "pictures").mkdir()
    for k, image in enumerate(scenes.load("test", size=size + 32, count=count)[0]):
        Image.fromarray(image).save(folder / "pictures" / f"{k:05d}.jpg", quality=90)
    job = extraction.Job({
        "model": str(entry), "data": f"folder:{folder / 'pictures'}", "split": "train",
        "taps": None, "pooling": "avg", "image_size": size, "dtype": "mixed_bfloat16",
        "batch_size": 64, "shard_size": count})
    _, batch = next(iter(job.pictures(range(count))))

    def decode():
        return sum(len(index) for index, _ in job.pictures(range(count)))

    def network():
        job.vectors(batch)
        return len(batch)

    def whole():
        job.run(str(folder), [0])
        return count

    rates = take_turns({"decoding alone": decode, "the network alone": network,
                        "extraction": whole}, arguments.rounds, arguments.seconds)
    print(f"AlexNet, {size} pixels of JPEG {size + 32}x{size + 32}, {os.cpu_count()} cores")
    show(rates, "images/s")
    decode, network, whole = rates.values()
    slower = [min(pair) for pair in zip(decode, network, strict=True)]
    shared = [1 / (1 / a + 1 / b) for a, b in zip(decode, network, strict=True)]
    verdict("extraction / the slower of the two", ratio(whole, slower), 0.9)
    verdict("extraction / both on the same cores", ratio(whole, shared), 0.9)


if __name__ == "__main__":
    main()
