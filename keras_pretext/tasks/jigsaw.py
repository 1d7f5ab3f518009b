"""Jigsaw puzzles: tell the order of a picture's tiles (Noroozi and Favaro, ECCV 2016)."""

import math

import keras
import numpy as np
from keras import layers, ops

from keras_pretext.image import framing as framings
from keras_pretext.image import patches as cutting
from keras_pretext.image.color import to_grey
from keras_pretext.layers.patch_standardization import PatchStandardization
from keras_pretext.tasks import permutations as tables
from keras_pretext.tasks.base import PretextLayer, PretextModel, Task, registry

_DRAWS = 8  # of a tile: two for its place in the cell, two for each channel's shift


@keras.saving.register_keras_serializable(package="keras_pretext")
class JigsawLayer(PretextLayer):
    """The tiles of a picture, each at a random place of its cell, and the puzzles made of them.

    Inputs are `{"tiles": uint8 (grid**2, tile, tile, 3) in raster order, "permutations": int32
    (puzzles,)}`, rows of the permutation set; pseudolabels are the permutations.

    Draws: one for grey, one for each permutation, then `_DRAWS` for each tile.
    """

    in_batches = False

    def __init__(self, grid, cell, tile, ways, puzzles, grey, shift, framing, more_draws=0,
                 one_channel=False, **kwargs):
        framing = framings.get(framing)
        self.own_draws = 1 + puzzles + _DRAWS * grid * grid
        super().__init__(framing, framing.num_draws + self.own_draws + more_draws, **kwargs)
        self.grid, self.cell, self.tile, self.ways = grid, cell, tile, ways
        self.puzzles, self.grey, self.shift = puzzles, grey, shift
        self.one_channel = one_channel

    def cut(self, images, draws):
        """The tiles, uint8 `(B, grid**2, tile, tile, 3)`, for the draws of `puzzle`.

        A tile's place is uniform in its cell. Each of its channels moves from there by up to
        `shift` pixels down and right, as far as the cell goes; grey pictures have none to move.
        """
        colored = ops.cast(draws[:, 0] >= self.grey, "int32")[:, None, None]
        draws = ops.reshape(draws[:, 1 + self.puzzles:self.own_draws],
                            (-1, self.grid * self.grid, _DRAWS))
        room = self.cell - self.tile
        place = ops.cast(ops.floor(draws[..., :2] * (room + 1)), "int32")
        top, left = cutting.grid_origins(self.grid, self.cell)
        if not self.shift:
            return cutting.cut(images, top + place[..., 0], left + place[..., 1], self.tile)
        shift = ops.cast(ops.floor(draws[..., 2:] * (self.shift + 1)), "int32") * colored
        down = ops.minimum(place[..., :1] + shift[..., :3], room)
        right = ops.minimum(place[..., 1:] + shift[..., 3:], room)
        return cutting.cut(images, top[:, None] + down, left[:, None] + right, self.tile)

    def orders(self, draws):
        """int32 `(B, puzzles)`: permutations, each uniform over the set and independent."""
        which = ops.floor(draws[:, 1:1 + self.puzzles] * self.ways)
        return ops.cast(which, "int32")

    def single(self, tiles, draws):
        """Tiles of which only one channel is left, the same in all tiles: three times that."""
        kept = ops.one_hot(ops.cast(ops.floor(draws[:, 0] * 3), "int32"), 3, dtype="uint8")
        tiles = ops.cast(ops.sum(tiles * kept[:, None, None, None], -1, keepdims=True), "uint8")
        return ops.repeat(tiles, 3, axis=-1)

    def puzzle(self, images, draws):
        tiles = self.cut(images, draws)
        tiles = self.single(tiles, draws) if self.one_channel else self.greyed(tiles, draws)
        orders = self.orders(draws)
        return {"tiles": tiles, "permutations": orders}, orders

    def greyed(self, tiles, draws):
        grey = draws[:, 0] < self.grey
        if self.grey and tiles.shape[0] == 1:  # the work is done where it is needed
            tiles = ops.cond(grey[0], lambda: to_grey(tiles), lambda: tiles)
        elif self.grey:
            tiles = ops.where(grey[:, None, None, None, None], to_grey(tiles), tiles)
        return tiles

    def get_config(self):
        return {**super().get_config(), "grid": self.grid, "cell": self.cell, "tile": self.tile,
                "ways": self.ways, "puzzles": self.puzzles, "grey": self.grey,
                "shift": self.shift, "framing": framings.serialize(self.framing),
                "one_channel": self.one_channel}


@registry.register("jigsaw")
@keras.saving.register_keras_serializable(package="keras_pretext")
class Jigsaw(Task):
    """Which permutation of a known set has shuffled the nine tiles of a picture?

    The picture is cut into cells; from each comes a smaller tile at a random place, so that
    tiles do not continue each other. Every tile is encoded once, and the codes are arranged by
    several permutations a step: slot t receives tile perm[t]. Each tile is normalised by its own
    mean and deviation; some pictures are grey, and in the others each tile's channels are
    shifted against each other, against chromatic aberration. There is no mirroring.

    Args:
        tile, cell: in pixels of the framed picture: 64 in 75 (the paper: a random 225 square of a
            picture with short side 256), or 64 in 85 (the authors' code: the central 255).
        grid: cells along a side; 3, or 2 for all 24 orders of four tiles.
        permutations: how many to choose (see `permutation_set`), or the table itself: rows that
            count from 0, or the path of a file that `permutations.load` reads.
        selection: "max_min", or "mean" as published; where permutations are chosen.
        permutation_seed: of the first permutation; where they are chosen.
        permutations_sha256: `permutations.fingerprint` of the set that is expected; the config
            always holds it.
        puzzles: permutations of a picture a step (8: Kolesnikov et al., CVPR 2019).
        grey: share of the pictures that lose their colour.
        shift: pixels by which a tile's channels move against each other, at most.
        framing: gives pictures of `grid * cell`. By default the short side becomes
            `4/3 * grid * tile` (256), of which a random square is taken, or the central one where
            less than an eighth of a tile is left over.
        embedding: width of fc6, the code of a tile; not used where `tap` is the backbone's own.
        hidden: width of fc7.
        dropout: after fc6 and fc7.
        flat_field: remove each tile's slope of light too, against vignettes; not in the paper.
        one_channel: keep one channel of each picture, drawn at random, in the place of `grey`.
            Grey is a sum of channels, which a lens has shifted: its blur tells the tile's place.
        tap: the backbone's tap under the head; by default its fc6 if it has one, else its last.
            Maps are flattened and go through fc6.

    Raises:
        ValueError: where tiles do not fit the cells, cells do not fit the framing, or the
            permutations are not those of `permutations_sha256`.
    """

    name = "jigsaw"
    from_files = ("permutations",)

    def __init__(self, tile=64, cell=75, grid=3, permutations=1000, selection="max_min",
                 permutation_seed=0, permutations_sha256=None, puzzles=8, grey=0.3, shift=2,
                 framing=None, embedding=1024, hidden=4096, dropout=0.5, flat_field=False,
                 one_channel=False, tap=None):
        if grid < 2 or tile < 2 or puzzles < 1:
            raise ValueError("grid and tile are at least 2, puzzles at least 1. Received: "
                             f"grid={grid}, tile={tile}, puzzles={puzzles}")
        if cell < tile:
            raise ValueError("a cell is as wide as its tile and the room in which the tile "
                             "moves, for instance 85 = 64 + 21. "
                             f"Received: cell {cell} = tile {tile} + {cell - tile}")
        if not 0 <= shift <= cell - tile:
            raise ValueError("channels shift inside the cell, by 0 pixels to the room of its "
                             f"tile, {cell} - {tile} = {cell - tile}. Received: shift={shift}")
        if not (0 <= grey <= 1 and 0 <= dropout < 1):
            raise ValueError("grey is a share in [0, 1], dropout one in [0, 1). "
                             f"Received: grey={grey}, dropout={dropout}")
        size = grid * cell
        if framing is None:
            short = max(size, round(4 / 3 * grid * tile))
            framing = framings.GridCrop(size, short, grid, centred=8 * (short - size) < tile)
        self.framing = framings.get(framing)
        if self.framing.size != size:
            raise ValueError(f"the framing's size is that of the cells, {grid} * {cell} = {size} "
                             f"pixels. Received: {self.framing.size}")
        self.table = tables.resolve(permutations, grid * grid, selection, permutation_seed,
                                    permutations_sha256)
        self.generated = isinstance(permutations, int)
        self.tile, self.cell, self.grid, self.selection = tile, cell, grid, selection
        self.permutation_seed, self.puzzles = permutation_seed, puzzles
        self.grey, self.shift, self.embedding, self.hidden = grey, shift, embedding, hidden
        self.dropout, self.tap, self.image_size, self.patch_side = dropout, tap, size, tile
        self.flat_field, self.one_channel = bool(flat_field), bool(one_channel)
        self.num_draws = self.layer().num_draws

    @property
    def chance(self):
        ways = len(self.table)
        return {"loss": math.log(ways), "accuracy": 1 / ways}

    def layer(self, augment=True):
        return JigsawLayer(self.grid, self.cell, self.tile, len(self.table), self.puzzles,
                           self.grey, self.shift,
                           self.framing if augment else self.framing.evaluation(),
                           one_channel=self.one_channel)

    def objective(self):
        return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}

    def inputs(self):
        """The model's inputs, as the layer gives them."""
        tiles = (self.grid * self.grid, self.tile, self.tile, 3)
        return {"tiles": keras.Input(tiles, dtype="uint8", name="tiles"),
                "permutations": keras.Input((self.puzzles,), dtype="int32", name="permutations")}

    def features(self, backbone, tiles, names):
        """Taps of every tile for itself: a dict of `(B * grid**2, ...)`, tiles normalised."""
        x = ops.reshape(tiles, (-1, self.tile, self.tile, 3))
        x = PatchStandardization(backbone.mean, backbone.std, flat_field=self.flat_field,
                                 name="own_statistics")(x)
        return backbone.extractor([*dict.fromkeys(names)])(x)

    def chosen_tap(self, backbone):
        return self.tap or ("fc6" if "fc6" in backbone.taps else [*backbone.taps][-1])

    def codes(self, features, tap):
        """fc6: the tiles' codes, `(B, grid**2, embedding)`, from a map or the backbone's fc6."""
        x = layers.Flatten(name="flat")(features)
        if not tap.startswith("fc"):
            x = layers.Dense(self.embedding, activation="relu", name="tile_fc6",
                             kernel_initializer="he_normal")(x)
        x = layers.Dropout(self.dropout, name="tile_drop6")(x)
        return ops.reshape(x, (-1, self.grid * self.grid, x.shape[-1]))

    def arranged(self, codes, permutations):
        """Codes `(B, tiles, width)` in the orders `(B, puzzles)`: `(B, puzzles, tiles * width)`.

        Slot t of a puzzle holds the code of tile perm[t].
        """
        tiles, width = codes.shape[1:]
        tile_of_slot = ops.take(np.asarray(self.table, "int32"), permutations, axis=0)
        picks = ops.one_hot(ops.reshape(tile_of_slot, (-1, permutations.shape[1] * tiles)), tiles,
                            dtype=codes.dtype)  # a product, whose gradient is deterministic
        return ops.reshape(ops.matmul(picks, codes), (-1, permutations.shape[1], tiles * width))

    def ordered(self, codes, permutations):
        """fc7 and fc8: logits `(B, puzzles, permutations)`."""
        x = layers.Dense(self.hidden, activation="relu", name="puzzle_fc7",
                         kernel_initializer="he_normal")(self.arranged(codes, permutations))
        x = layers.Dropout(self.dropout, name="puzzle_drop7")(x)
        return layers.Dense(len(self.table), dtype="float32", name="puzzle_logits")(x)

    def attach(self, backbone, name="jigsaw_model", **kwargs):
        inputs, tap = self.inputs(), self.chosen_tap(backbone)
        codes = self.codes(self.features(backbone, inputs["tiles"], [tap])[tap], tap)
        logits = self.ordered(codes, inputs["permutations"])
        model = PretextModel(inputs, logits, self, backbone, name=name, **kwargs)
        model.compile(optimizer="sgd", **self.objective())
        return model

    def board(self, tiles, order=None, gap=3):
        """The tiles `(grid**2, tile, tile, 3)` as one picture, in raster order or permuted."""
        side, step = self.grid * (self.tile + gap) - gap, self.tile + gap
        picture = np.full((side, side, 3), 255, "uint8")
        for slot, tile in enumerate(range(len(tiles)) if order is None else order):
            y, x = slot // self.grid * step, slot % self.grid * step
            picture[y:y + self.tile, x:x + self.tile] = tiles[tile]
        return picture

    def preview(self, images, draws):
        """The tiles where they belong, then every puzzle with its label and permutation."""
        layer, rows = self.layer(), []
        for image, draw in zip(images, np.asarray(draws, "float32"), strict=True):
            inputs, labels = layer(ops.convert_to_tensor(image), ops.convert_to_tensor(draw))
            tiles = ops.convert_to_numpy(inputs["tiles"])
            row = [("tiles", self.board(tiles))]
            for label in ops.convert_to_numpy(labels):
                order = self.table[label].tolist()
                row.append((f"{label}: {' '.join(map(str, order))}", self.board(tiles, order)))
            rows.append(row)
        return rows

    def get_config(self):
        """With the hash of the permutations, and the permutations where they were given."""
        rows = self.table.tolist()
        if self.grid**2 <= 10:  # as strings of digits
            rows = ["".join(map(str, row)) for row in rows]
        return {"tile": self.tile, "cell": self.cell, "grid": self.grid,
                "permutations": len(self.table) if self.generated else rows,
                "selection": self.selection, "permutation_seed": self.permutation_seed,
                "permutations_sha256": tables.fingerprint(self.table), "puzzles": self.puzzles,
                "grey": self.grey, "shift": self.shift,
                "framing": framings.serialize(self.framing), "embedding": self.embedding,
                "hidden": self.hidden, "dropout": self.dropout, "flat_field": self.flat_field,
                "one_channel": self.one_channel, "tap": self.tap}
