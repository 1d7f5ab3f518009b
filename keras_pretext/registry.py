"""Names to classes, with errors that tell the nearest name."""

import difflib


def unknown_name(kind, received, known):
    """The message for a name that is not among `known`: the nearest first, then all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(received), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind}.{hint} Known: {', '.join(known) or 'none'}. Received: {received!r}"


class Registry:
    """An ordered table of named objects of one kind."""

    def __init__(self, kind):
        self.kind = kind
        self._objects = {}

    def register(self, name):
        def add(thing):
            self._objects[name] = thing
            return thing

        return add

    def get(self, name):
        """The object of that name. Raises ValueError, with the nearest name, if there is none."""
        if name not in self._objects:
            raise ValueError(unknown_name(self.kind, name, self._objects))
        return self._objects[name]

    def names(self):
        return sorted(self._objects)
