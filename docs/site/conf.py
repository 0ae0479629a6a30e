"""How Sphinx builds a language of the site; build.py copies this beside what it reads."""

import json
from pathlib import Path

HERE = Path(__file__).parent

project = "Puppet"
extensions = ["myst_parser"]
myst_heading_anchors = 4  # as a repository's own pages have them, so that a link holds in both
# A block of code may leave something out (`...`), and a results file may begin with a deeper heading.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
templates_path = ["templates"]
exclude_patterns = ["templates"]

html_theme = "furo"  # its fonts are the system's, its scripts and styles its own: nothing is loaded from elsewhere
html_title = "Puppet"
html_static_path = ["style.css"]
html_css_files = ["style.css"]
html_show_sourcelink = False
html_show_search_summary = False  # it fetches each page that was found, which a browser refuses on a disk
html_copy_source = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html", "language.html", "sidebar/search.html", "sidebar/scroll-start.html",
        "sidebar/navigation.html", "sidebar/scroll-end.html",
    ]
}  # fmt: skip
html_context = {"pairs": json.loads((HERE / "pairs.json").read_text())}
