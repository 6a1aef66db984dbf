"""The page of an experiment: one HTML file with tables, curves and weights that needs nothing outside itself.

It is for eyes; programs read the record's JSON. The same record and weights give the same bytes with the same version
of matplotlib.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from netsurgery.errors import DataError, MissingExtraError
from netsurgery.files import write_verified
from netsurgery.records.record import Record
from netsurgery.report.claims import claims
from netsurgery.report.curves import curves
from netsurgery.report.page_tables import layers_table, origin_table, results_table
from netsurgery.report.shades import Weights
from netsurgery.report.weight_pictures import weight_pictures

_STYLE = """
:root{color-scheme:light dark;--ground:#fdfdfc;--ink:#1d2125;--soft:#5d656d;--line:#d8dcdf;--box:#f1f3f4}
@media(prefers-color-scheme:dark){:root{--ground:#14171a;--ink:#e4e7ea;--soft:#9aa3ab;--line:#343a40;--box:#1e2327}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:70rem;background:var(--ground);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:break-word}
h1{font-size:1.6rem;line-height:1.2;margin:.5rem 0 1rem}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.4rem 0}
.note,figcaption{color:var(--soft);font-size:.875rem}
.claims{display:flex;flex-wrap:wrap;gap:.8rem}
.claims p{flex:1 1 20rem;margin:0;padding:.8rem 1rem;background:var(--box);border-radius:.4rem}
.claims span{display:block;color:var(--soft);font-size:.875rem}
section{min-width:0}
.scroll{overflow-x:auto}
table{border-collapse:collapse;min-width:min(100%,30rem);font-size:.8rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .3rem;text-align:right;vertical-align:top;white-space:pre-line;border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;font-weight:600}
th:first-child{text-align:left}
tbody th{font-weight:400}
tr.strong>*{font-weight:600;background:var(--box)}
tr.part th{padding-left:1.6rem}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20.5rem),1fr));gap:1.5rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,32rem),1fr));gap:0 2rem}
.pair td{white-space:pre}
.pictures{display:flex;flex-wrap:wrap;gap:0 1rem}
.pictures figure{min-width:min(100%,17rem)}
figure{margin:0 0 1rem}
figcaption{margin-top:.2rem}
figure svg{display:block;width:100%;height:auto}
svg text{font-family:inherit!important}
.legend{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.2rem 0;padding:0;list-style:none;font-size:.8rem}
.legend i{display:inline-block;width:1.6em;margin-right:.4em;vertical-align:middle;border-top:2px solid}
img{display:block;image-rendering:pixelated;border:1px solid var(--line);box-sizing:content-box}
details{margin:.5rem 0}
summary{cursor:pointer}
pre{margin:.4rem 0;padding:.8rem;background:var(--box);border-radius:.4rem;font-size:.8rem;white-space:pre-wrap}
@media(max-width:40rem){.pair td{white-space:pre-line}table{font-size:.75rem}
th,td{padding:.25rem .2rem}tr.part th{padding-left:.5rem}}
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Makes the browser itself refuse any request."""


def write_page(path: str | Path, record: Record, weights: Mapping[str, Weights]) -> None:
    """Write the page of `record` to `path`; nothing is left there half written.

    weights: parameter name -> weights of the first run's final network, of the parameter's shape; or its mask, True =
    kept, to draw just that. Tensors without weights are only counted.

    Raises MissingExtraError without matplotlib, and DataError if the record holds no run or weights are of another
    network than its first run.
    """
    _require_matplotlib()
    _check(record, weights)
    content = _page(record, weights).encode("utf-8")
    write_verified(path, content, lambda written: written.read_bytes() == content)


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"The page's pictures need {error.name}, which isn't installed: pip install 'netsurgery[report]'"
        ) from error


def _check(record: Record, weights: Mapping[str, Weights]) -> None:
    if not record.runs:
        raise DataError(f"The record {record.title!r} holds no run; a page shows at least one.")
    tensors = {tensor.name: tensor for tensor in record.runs[0].tensors}
    for name, tensor in weights.items():
        if name not in tensors:
            raise DataError(
                f"Weights are named {name!r}; the record's first run has {', '.join(tensors) or 'no tensor'}."
            )
        given = tensor.shape, int(np.count_nonzero(tensor))
        recorded = tensors[name].shape, tensors[name].kept
        if given != recorded:
            raise DataError(
                f"The weights of {name} have shape {given[0]} and keep {given[1]}; the record's first run says "
                f"{recorded[0]} and {recorded[1]}. Give the weights of that run's final network."
            )


def _page(record: Record, weights: Mapping[str, Weights]) -> str:
    body = [
        claims(record),
        '<div class="pair">',
        section("Results", results_table(record)),
        section("Connections by layer", layers_table(record)),
        "</div>",
        section("Over time", curves(record.runs)),
        section("Final weights", weight_pictures(record.runs[0], weights)),
        section("How it was made", origin_table(record)),
    ]
    return document(record.title, body)


def document(heading: str, body: Sequence[str]) -> str:
    """A whole page of these elements, which needs nothing outside itself."""
    title = html.escape(heading)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def section(heading: str, content: str) -> str:
    """A part of a page."""
    return f"<section><h2>{heading}</h2>\n{content}</section>"
