"""How the site is built: ``sphinx-build -W --keep-going docs docs/_build/html`` (extra ``docs``).

Sphinx with myst-nb and furo is what JAX, Flax and Optax build their sites with: pages are Markdown,
notebooks are pages, and the reference comes from the docstrings by autodoc, which keeps jaxtyping's
shapes in the signatures. Neither the build nor a page of the site needs the network.
"""

import importlib.metadata
import os
import shutil
from pathlib import Path

import jax
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from flax import nnx
from sphinx.util.inspect import signature, stringify_signature

os.environ.setdefault("JAX_PLATFORMS", "cpu")

project = "taskaware"
release = version = importlib.metadata.version("taskaware")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"taskaware {release}"
html_show_copyright = False
html_math_renderer = "mathml"

nb_execution_mode = "off"  # .ci/run runs the notebooks
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "special-members": "__call__"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_numpy_docstring = False

jax.Array.__name__ = "Array"  # or shapes would read Float[jaxlib._jax.Array, 'B D']

# Sphinx reads pages from its own folder alone.
HERE = Path(__file__).parent
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks")


def links_to_notebooks(app, name, source):
    """Turn links to where notebooks lie in the repository into links to their pages."""
    source[0] = source[0].replace("](../notebooks/", "](notebooks/")


def docstrings_of_fields(app, what, name, obj, options, lines):
    """Keep napoleon from reading "Of film: ..." as a type, and leave out what NamedTuple says."""
    if what in ("attribute", "data", "property"):
        if lines and lines[0].startswith("Alias for field number"):
            lines.clear()
        lines[:0] = ["..", ""]  # an empty comment: napoleon looks at the first line alone


def arguments_of_modules(app, what, name, obj, options, arguments, returns):
    """Give a Flax module the arguments of its __init__; its metaclass takes any."""
    if what == "class" and issubclass(obj, nnx.Module):
        taken = signature(obj.__init__, bound_method=True)
        return stringify_signature(
            taken, show_return_annotation=False, unqualified_typehints=True
        ), returns
    return None


def in_mathml(as_block):
    """Return how an equation is written as MathML, which browsers read without a script."""

    def visit(writer, node):
        writer.body.append(tex2mathml(node.astext(), as_block=as_block))
        raise nodes.SkipNode

    return visit, None


def setup(app):
    """Add what the extensions lack."""
    app.connect("source-read", links_to_notebooks)
    app.connect("autodoc-process-docstring", docstrings_of_fields, priority=400)  # napoleon: 500
    app.connect("autodoc-process-signature", arguments_of_modules)
    app.add_html_math_renderer("mathml", in_mathml(False), in_mathml(True))
