"""The page that a report is put into: layout and style, no numbers.

A module rather than a data file, so that it is part of every installation.
"""

from __future__ import annotations

from string import Template

CSS = """
:root { --ink: #1b1f24; --muted: #57606a; --rule: #d8dee4; --wash: #f4f7fa; --accent: #0b5cad; }
* { box-sizing: border-box; }
html { color-scheme: light; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 3rem 1.5rem 4rem; max-width: 53rem; color: var(--ink); background: #fff;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
p, li { max-width: 42rem; }
h1 { margin: 0 0 1rem; font-size: 2rem; line-height: 1.2; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 0.75rem; padding-top: 1rem; border-top: 1px solid var(--rule); font-size: 1.3rem;
  line-height: 1.3; }
h3 { margin: 1.75rem 0 0.5rem; font-size: 1rem; }
.lead { font-size: 1.0625rem; }
.headline { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1px; margin: 1.75rem 0 0; padding: 0;
  border: 1px solid var(--rule); border-radius: 6px; overflow: hidden; background: var(--rule); }
.headline div { padding: 0.85rem 1rem; background: #fff; }
.headline dt { color: var(--muted); font-size: 0.8125rem; }
.headline dd { margin: 0; font-variant-numeric: tabular-nums; }
.headline .value { font-size: 1.75rem; font-weight: 600; line-height: 1.25; }
.headline .ci { font-size: 0.8125rem; }
.note { margin: 0.5rem 0 0; color: var(--muted); font-size: 0.8125rem; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; line-height: 1.4; }
.about { margin: 0 0 0.6rem; color: var(--muted); font-size: 0.875rem; }
ul { padding-left: 1.2rem; }
li + li { margin-top: 0.5rem; }
th, td { padding: 0.45rem 0.6rem; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: nowrap; }
tbody th { font-weight: 400; overflow-wrap: anywhere; }
.protocol th { width: 13rem; color: var(--muted); }
.numbers td, .numbers thead th + th { text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.numbers tbody th { min-width: 10rem; }
.numbers tr.model { background: var(--wash); }
.numbers tr.model th { font-weight: 600; }
.tag { display: inline-block; margin-left: 0.4rem; padding: 0 0.4rem; border: 1px solid var(--accent);
  border-radius: 3px; color: var(--accent); font-size: 0.6875rem; font-weight: 600; line-height: 1.5; }
.ci { display: block; color: var(--muted); font-size: 0.75rem; font-weight: 400; white-space: nowrap; }
.best { color: var(--accent); font-weight: 700; }
.best::before { content: "\\25B8\\00A0"; }
figure { margin: 1.25rem 0 0; }
figure .scroll > svg { display: block; width: 100%; height: auto; min-width: 34rem; }
figure svg * { stroke-linecap: butt; stroke-linejoin: round; }
figure svg text { font-family: inherit !important; }
figcaption { max-width: 42rem; margin-top: 0.5rem; color: var(--muted); font-size: 0.875rem; }
pre { margin: 0.5rem 0 0; padding: 0.9rem 1rem; border-radius: 6px; background: var(--wash);
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: 0.8125rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); color: var(--muted);
  font-size: 0.8125rem; }
@media (max-width: 40rem) {
  body { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .headline { grid-template-columns: repeat(2, 1fr); }
  .protocol th { width: 8rem; }
}
@media print {
  @page { size: A4; margin: 17mm 16mm; }
  html { font-size: 10pt; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; }
  h2, h3, .about { break-after: avoid; break-inside: avoid; }
  figure, tr, pre, .headline { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  .headline { grid-template-columns: repeat(4, 1fr); }
  figure .scroll > svg { min-width: 0; max-height: 215mm; }
}
"""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$css</style>
</head>
<body>
<main>
$body
</main>
<footer>$footer</footer>
</body>
</html>
""")
