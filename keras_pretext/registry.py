"""Names to classes, with errors that tell the nearest name."""

import difflib
import inspect


def unknown_name(kind, received, known):
    """The message for a name that is not among `known`: the nearest first, then all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(str(received), known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown {kind}.{hint} Known: {', '.join(known) or 'none'}. Received: {received!r}"


def _refused(default, value):
    """What an option of that default is, where a value is something else; else None."""
    if isinstance(default, bool):
        return None if isinstance(value, bool | None) else "true or false"
    if isinstance(default, int | float):
        return "a number" if isinstance(value, str | bool) else None
    return None


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

    def make(self, name, config):
        """The class of that name, made with a config.

        Raises ValueError, with the nearest name, for an unknown class or option, one that is
        missing, or a word where the default is a number or a truth value (the class's `from_files`
        may be paths).
        """
        found = self.get(name)
        takes, others = {}, True
        for kind in found.__mro__:  # options that are passed on are those of the class above
            if not others or kind not in self._objects.values():
                break
            if "__init__" in vars(kind):
                own = [*inspect.signature(kind.__init__).parameters.values()][1:]
                others = any(x.kind is x.VAR_KEYWORD for x in own)
                takes = {**{x.name: x for x in own if x.kind is not x.VAR_KEYWORD}, **takes}
        known = [*takes, *getattr(found, "passed_on", ())]
        for option in config:
            if option not in known and (not others or hasattr(found, "passed_on")):
                raise ValueError(unknown_name(f"option of {name}", option, known))
            words = option in takes and _refused(takes[option].default, config[option])
            if words and option not in getattr(found, "from_files", ()):
                raise ValueError(f"{option} of {name} is {words}. Received: {config[option]!r}")
        missing = [n for n, x in takes.items() if x.default is x.empty and n not in config]
        if missing:
            raise ValueError(f"{name} needs {', '.join(missing)}. Received: "
                             f"{', '.join(config) or 'no options'}")
        return found(**config)

    def names(self):
        return sorted(self._objects)
