"""The explorer's page: controls, and figures drawn as HTML with the pictures inside it."""

import asyncio
import functools
import html
import os

from keras_pretext import tasks
from keras_pretext.evaluation.report.page import data_uri, drawn
from keras_pretext.explore import views
from keras_pretext.explore.pictures import shrunk

VIEWS = ("Puzzle", "Answers", "Attention", "Filters", "Neighbours", "Colours", "Holes")
# what a view is made of, besides the picture
_USES = {"Puzzle": {"task", "seed"}, "Answers": {"seed"}, "Attention": {"model", "turns"},
         "Filters": {"model"}, "Neighbours": {"model"}, "Colours": set(), "Holes": {"hole"}}
SEEDS = 99
THUMBNAIL = 64

STYLE = """
.gradio-container { font-size: 16px; }
#explorer h1 { font-size: 1.5rem; margin: 0; }
#thumbnails .sheet { display: flex; flex-wrap: wrap; gap: 4px; max-height: 13rem;
  overflow-y: auto; }
#thumbnails button { padding: 0; border: 2px solid transparent; background: none; line-height: 0;
  cursor: pointer; }
#thumbnails button:hover, #thumbnails button:focus { border-color: #2060c0; }
#thumbnails img { width: 56px; height: 56px; object-fit: cover; }
#figures h3 { font-size: 1.1rem; margin: 1rem 0 .2rem; overflow-wrap: anywhere; }
#figures p { margin: .2rem 0; overflow-wrap: anywhere; }
#figures .row { display: flex; flex-wrap: wrap; gap: .6rem; margin: .5rem 0; }
#figures figure { margin: 0; width: 9rem; }
#figures figure.large { width: 100%; max-width: 30rem; }
#figures figure img { display: block; width: 100%; margin: 0; image-rendering: pixelated; }
#figures figure.large img { image-rendering: auto; width: auto; max-width: 100%; }
#figures figcaption { font-size: .85rem; line-height: 1.3; margin-top: .2rem; }
#figures .right { color: #00783c; font-weight: 600; }
#figures .wrong { color: #be1e1e; font-weight: 600; }
#figures .wide { overflow-x: auto; }
#figures table { border-collapse: collapse; font-size: .9rem; }
#figures th, #figures td { padding: .2rem .6rem; border: 0; border-bottom: 1px solid #ccc;
  text-align: left; white-space: nowrap; }
.dark #figures .right { color: #50c882; } .dark #figures .wrong { color: #ff8080; }
@media (max-width: 30rem) { #figures figure { width: 46%; } }
"""
# a click on a thumbnail tells which
_CLICK = """element.addEventListener("click", event => {
  const button = event.target.closest("button[data-picture]");
  if (button) trigger("select", {index: Number(button.dataset.picture)});
});"""


def figures_html(figures):
    """Figures as HTML, the pictures in it as data URIs."""
    out = []
    for one in figures:
        out.append(f"<h3>{_e(one.heading)}</h3>")
        if one.text:
            out.append(f"<p>{_e(one.text)}</p>")
        out += drawn(_e(one.heading), one.rows, one.marks)
        if one.table:
            out.append('<div class="wide"><table>')
            for n, line in enumerate(one.table):
                cell = "td" if n else "th"
                out.append("<tr>" + "".join(f"<{cell}>{_e(text)}</{cell}>" for text in line)
                           + "</tr>")
            out.append("</table></div>")
    return _plain("\n".join(out))


def thumbnails_html(pictures):
    """A sheet of buttons, one a picture."""
    out = ['<div class="sheet">']
    for k in range(len(pictures)):
        label = f"picture {k}" + (f", {pictures.labels[k]}" if pictures.labels else "")
        out.append(f'<button type="button" data-picture="{k}" title="{_e(label)}">'
                   f'<img alt="{_e(label)}" src="{data_uri(shrunk(pictures.rgb(k), THUMBNAIL))}">'
                   "</button>")
    return _plain("".join([*out, "</div>"]))


def _e(text):
    return html.escape(str(text))


def _plain(text):
    """Without what the page's templates would read as theirs."""
    return text.replace("{", "&#123;").replace("$", "&#36;")


class Explorer:
    """What the page shows, for what the controls say.

    Args:
        data: dict from a name to `Pictures`, at least one.
        models: dict from a name to a PretextModel; may be empty.
    """

    def __init__(self, data, models):
        self.data, self.models = data, models
        self._task = functools.lru_cache(None)(tasks.get)
        self._kept = functools.lru_cache(64)(self._figures)
        self._near = functools.lru_cache(8)(self._neighbours)

    def show(self, data, k, view, task, seed, model, turns, left, top, side):
        """HTML of a view; what cannot be shown is told in its place.

        Args:
            data, task, model: names.
            k, seed: integers; of a picture that is not there the last one's.
            view: of `VIEWS`.
            turns: attention maps of turned pictures too.
            left, top, side: of the hole, in percent.
        """
        k = max(0, min(int(k), len(self.data[data]) - 1))
        seed = max(0, min(int(seed), SEEDS))
        chosen = {"task": task, "seed": seed, "model": model, "turns": bool(turns),
                  "hole": (int(left), int(top), int(side))}
        chosen = tuple((name, chosen[name]) for name in sorted(_USES[view]))
        try:
            return self._kept(data, k, view, chosen)
        except (ValueError, RuntimeError) as error:
            return f'<p class="wrong" role="alert">{_plain(_e(error))}</p>'

    def _neighbours(self, data, model):
        """Of all pictures at once: what costs time are the features."""
        pictures = self.data[data]
        return views.neighbours(self.models[model], pictures, range(len(pictures)))

    def _figures(self, data, k, view, chosen):
        pictures, chosen = self.data[data], dict(chosen)
        if "model" in chosen and not self.models:
            raise ValueError("there is no model to look into: pass some with --models. "
                             "Received: none")
        model = self.models.get(chosen.get("model"))
        if view == "Puzzle":
            found = views.puzzle(self._task(chosen["task"]), pictures, k, chosen["seed"])
        elif view == "Answers":
            found = views.answers(self.models, pictures, k, chosen["seed"])
        elif view == "Attention":
            found = views.attention(model, pictures, k, chosen["turns"])
        elif view == "Filters":
            found = views.filters(model)
        elif view == "Neighbours":
            found = [self._near(data, chosen["model"])[k]]
        elif view == "Colours":
            found = views.colors(self.models, pictures, k)
        else:
            left, top, side = (number / 100 for number in chosen["hole"])
            found = views.holes(self.models, pictures, k, left, top, side)
        return figures_html(found)


def blocks(explorer):
    """The page, as `gradio.Blocks`."""
    gr = gradio()
    names, models = [*explorer.data], [*explorer.models]
    first = explorer.data[names[0]]
    last = max(1, len(first) - 1)
    known = views.task_names()
    with gr.Blocks(title="keras_pretext explorer", analytics_enabled=False) as page:
        gr.HTML("<h1>Pretext tasks, picture by picture</h1>", elem_id="explorer")
        data = gr.Dropdown(names, value=names[0], label="Data", visible=len(names) > 1,
                           elem_id="data")
        sheet = gr.HTML(thumbnails_html(first), elem_id="thumbnails", js_on_load=_CLICK)
        picture = gr.Slider(0, last, value=0, step=1, label="Picture", elem_id="picture")
        view = gr.Radio(VIEWS, value=VIEWS[0], label="Look at", elem_id="view")
        task = gr.Dropdown(known, value="rotation", label="Task", elem_id="task")
        seed = gr.Slider(0, SEEDS, value=0, step=1, label="Draws (seed)", elem_id="seed")
        model = gr.Dropdown(models, value=models[0] if models else None, label="Model",
                            visible=False, elem_id="model")
        turns = gr.Checkbox(label="Turned pictures too", visible=False, elem_id="turns")
        with gr.Row(visible=False, elem_id="hole") as hole:
            left = gr.Slider(0, 100, value=25, step=1, label="Hole, left (%)")
            top = gr.Slider(0, 100, value=25, step=1, label="Hole, top (%)")
            side = gr.Slider(5, 90, value=50, step=1, label="Hole, side (%)")
        figures = gr.HTML(elem_id="figures")

        def opened(name):
            pictures = explorer.data[name]
            return (thumbnails_html(pictures),
                    gr.update(value=0, maximum=max(1, len(pictures) - 1)))

        def chosen(event: gr.EventData):
            return int(event.index)

        turn = asyncio.Lock()

        async def shown(data, picture, view, task, seed, model, turns, left, top, side,
                        request: gr.Request):
            async with turn:  # one at a time, and none for a page that was closed meanwhile
                if await request.request.is_disconnected():
                    return gr.skip()
                return await asyncio.to_thread(explorer.show, data, picture, view, task, seed,
                                               model, turns, left, top, side)

        def asked(name):
            return [gr.update(visible=part in _USES[name])
                    for part in ("task", "seed", "model", "turns", "hole")]

        # Each request has its own answer: Gradio's queue answers in a stream, and loses what is
        # asked while it closes one.
        direct = {"api_visibility": "private", "queue": False}
        quiet = {**direct, "show_progress": "hidden"}
        data.change(opened, data, [sheet, picture], **quiet)
        sheet.select(chosen, None, picture, **quiet)
        view.change(asked, view, [task, seed, model, turns, hole], **quiet)
        controls = [data, picture, view, task, seed, model, turns, left, top, side]
        gr.on([page.load, *(control.change for control in controls)], shown, controls,
              figures, trigger_mode="always_last", show_progress="minimal", **direct)
    return page


def gradio():
    """Gradio, told to ask nothing of a network. Raises ImportError with what to install."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio as gr
    except ImportError:
        raise ImportError("the explorer needs Gradio: pip install 'keras_pretext[explore]'"
                          ) from None
    return gr
