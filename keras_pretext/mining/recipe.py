"""The constants of mining, in one value (Wang, He and Gupta, ICCV 2017; Wang and Gupta, 2015)."""

import collections
import dataclasses
import json

from keras_pretext.registry import unknown_name

# the stage that first depends on a field; what is not here belongs to the tracks
STAGES = collections.defaultdict(lambda: "tracks", {
    "model": "features", "tap": "features", "clusters": "parents", "nodes_per_cluster": "parents",
    "points_per_cluster": "parents", "seed": "parents", "least_members": "groups",
    "neighbours": "groups", "group": "groups", "intra_pairs": "pairs", "transitive_pairs": "pairs"})


@dataclasses.dataclass(frozen=True)
class MiningRecipe:
    """Every constant between videos and pairs; defaults are the papers', for 100,000 videos.

    Attributes:
        frame_size: pixels of the short side to which frames are scaled.
        stride: frames between the starts of two tracks (not stated by the papers; with 30, tracks
            of a video do not overlap).
        gap: frames between the two of which the flow is computed.
        points: the most SIFT points of a frame (SURF in the paper, which is patented).
        moving: pixels of flow, beside the camera's, above which a point moves.
        least_moving, most_moving: the part of a frame's points that move, else it is rejected.
        window: pixels; the side of the window with most moving points.
        patch_size: pixels to which windows are scaled.
        patch_quality: of the JPEG files of patches and frames.
        track_length: frames of a KCF track.
        tracker_window: pixels to which windows are scaled for the tracker; a power of two is fast.
        inside: the part of a window that must stay within the frame.
        uneven: a track in which one time step is more than this many times another is dropped.
        masks: write what moves in the frames that are not rejected.
        mask_flow: pixels of flow above which a pixel of the mask moves.
        model: a zoo name or run folder of the features, or "hog".
        tap: of that model.
        clusters: k of k-means.
        nodes_per_cluster: where given, k is the number of tracks over this, and `clusters` is the
            most.
        points_per_cluster: k-means learns from at most this many tracks a cluster.
        least_members: smaller clusters are dropped.
        neighbours: how many nearest ones inside a parent count.
        group: nodes of a child cluster, all mutually among each other's nearest.
        intra_pairs, transitive_pairs: at most so many, drawn at random; None: all.
        videos_per_shard: videos of a unit of work, and of a file of patches.
        seed: of k-means and of the drawn pairs.
    """

    frame_size: int = 400
    stride: int = 30
    gap: int = 1
    points: int = 1000
    moving: float = 0.5
    least_moving: float = 0.25
    most_moving: float = 0.75
    window: int = 227
    patch_size: int = 96
    patch_quality: int = 95
    track_length: int = 30
    tracker_window: int = 128
    inside: float = 0.9
    uneven: float = 2.0
    masks: bool = True
    mask_flow: float = 1.0
    model: str = "relative_patch_vgg16"
    tap: str = "pool5"
    clusters: int = 5000
    nodes_per_cluster: int | None = None
    points_per_cluster: int = 64
    least_members: int = 100
    neighbours: int = 10
    group: int = 4
    intra_pairs: int | None = 2_000_000
    transitive_pairs: int | None = 7_000_000
    videos_per_shard: int = 100
    seed: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value, kinds = getattr(self, field.name), {
                int: int, float: int | float, bool: bool, str: str,
                int | None: int | None}[field.type]
            if not isinstance(value, kinds) or isinstance(value, bool) != (field.type is bool):
                raise ValueError(f"{field.name} is {getattr(field.type, '__name__', field.type)}. "
                                 f"Received: {value!r}")
        least = {"frame_size": 16, "window": 16, "patch_size": 16, "track_length": 2, "group": 2,
                 "tracker_window": 16,
                 "patch_quality": 1, "points": 4, "moving": 0, "mask_flow": 0, "uneven": 1,
                 "seed": 0}
        for name in [f.name for f in dataclasses.fields(self)]:
            value, bound = getattr(self, name), least.get(name, 1)
            if isinstance(value, int | float) and name not in (
                    "masks", "least_moving", "most_moving", "inside") and value < bound:
                raise ValueError(f"{name} is at least {bound}. Received: {value!r}")
        if not 0 <= self.least_moving < self.most_moving <= 1:
            raise ValueError("least_moving and most_moving are parts of the points, the first "
                             f"smaller. Received: {self.least_moving!r}, {self.most_moving!r}")
        if not 0 < self.inside <= 1:
            raise ValueError("inside is a part of a window, above 0 and up to 1. "
                             f"Received: {self.inside!r}")
        if self.window > self.frame_size:
            raise ValueError("the window fits into a frame, whose short side is frame_size, "
                             f"{self.frame_size}. Received: window={self.window}")
        if self.group > self.neighbours + 1:
            raise ValueError(f"a group holds at most a node and its {self.neighbours} neighbours. "
                             f"Received: group={self.group}")
        if self.patch_quality > 100:
            raise ValueError(f"patch_quality is 1 to 100. Received: {self.patch_quality!r}")

    @classmethod
    def small(cls, **fields):
        """For some ten short clips: more tracks of a video, fewer and smaller clusters."""
        return cls(**{"stride": 5, "least_moving": 0.02, "most_moving": 0.9, "track_length": 15,
                      "nodes_per_cluster": 40, "least_members": 8, "videos_per_shard": 2,
                      "model": "rotnet_alexnet", "tap": "conv5", **fields})

    def replace(self, **fields):
        """A copy with other values. Raises ValueError, with the nearest name, for unknown fields.
        """
        known = [f.name for f in dataclasses.fields(self)]
        for name in fields:
            if name not in known:
                raise ValueError(unknown_name("mining field", name, known))
        return dataclasses.replace(self, **fields)

    def to_dict(self):
        return json.loads(json.dumps(dataclasses.asdict(self)))
