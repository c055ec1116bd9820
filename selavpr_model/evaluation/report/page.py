# SPDX-License-Identifier: MIT
"""The report's HTML and CSS; fields in string.Template's notation."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --bg: #f6f7f9; --panel: #fff; --ink: #1c2128; --soft: #626b77;
  --line: #e2e5ea; --good: #1f8a52; --bad: #d13438; --note: #fff4d6; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171c; --panel: #1c2027; --ink: #e6e9ee;
  --soft: #98a1ad; --line: #2c323b; --good: #46c07f; --bad: #ff6b6e; --note: #3a3115; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 16px 64px; }
h1 { font-size: 1.6rem; margin: 0 0 2px; letter-spacing: -.01em; }
h2 { font-size: 1.05rem; margin: 0 0 2px; }
p { margin: 0 0 10px; color: var(--soft); }
.note { background: var(--note); color: var(--ink); padding: 8px 12px; border-radius: 8px; }
.cards { display: grid; gap: 10px; margin: 18px 0;
  grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); }
.card, section, details { background: var(--panel); border: 1px solid var(--line);
  border-radius: 12px; padding: 14px 16px; min-width: 0; }
.card span, .card small { display: block; color: var(--soft); font-size: .82rem; }
.card b { display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.card.good b { color: var(--good); } .card.bad b { color: var(--bad); }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
.wide { grid-column: 1 / -1; }
section img { width: 100%; height: auto; display: block; }
.plot { overflow-x: auto; }
.examples { display: grid; gap: 14px; margin-top: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
figure { margin: 0; border: 1px solid var(--line); border-left: 4px solid #9aa3ad;
  border-radius: 8px; overflow: hidden; }
figure.right { border-left-color: #2da063; } figure.wrong { border-left-color: #e5484d; }
figure.ambiguous { border-left-color: #e2a03f; } figure.lost { border-left-color: #4f86c6; }
figure.outside { border-left-color: #9b7fc4; }
figure img { width: 100%; height: auto; display: block; }
figcaption { padding: 8px 12px; font-size: .85rem; color: var(--soft); }
figcaption b { color: var(--ink); display: block; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--soft); width: 34%; }
details { margin-top: 14px; } summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; font-size: .8rem; margin: 10px 0 0; }
@media (max-width: 760px) { .grid { grid-template-columns: minmax(0, 1fr); }
  .wide .plot img { width: 720px; max-width: none; } }
</style>
</head>
<body><main>
<h1>$title</h1>
<p>$subtitle</p>
$note
<div class="cards">$cards</div>
<div class="grid">$figures
<section class="wide"><h2>Examples</h2>
<p>Left the frame, right the best place of the map; lines join cells that are each other's most
similar (at most 40 are drawn).</p>
<div class="examples">$examples</div></section>
</div>
<details><summary>All numbers</summary><table>$numbers</table></details>
<details><summary>Configuration</summary><pre>$config</pre></details>
<details><summary>summary.json</summary><pre>$summary</pre></details>
</main></body></html>
"""
