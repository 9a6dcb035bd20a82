"""All generated files and their texts."""

from pathlib import Path

from stepmark.generate import chart_readme, chart_values, crd, metrics_page, rules, scenario_page
from stepmark.generate.boards.files import texts
from stepmark.questions import pages as answers


def documents(root: Path) -> dict[Path, str]:
    """Return the text of every generated file, by its path.

    The chart's README is made from values.yaml, its LICENSE is the repository's, docs/metrics.md is made from its own
    text, and docs/answers from the summaries that are stored there; all are read below `root`.
    """
    docs, chart = root / "docs", root / "charts" / "stepmark"
    metrics = docs / "metrics.md"
    return {
        docs / "scenario.md": scenario_page.page(),
        docs / "scenario.schema.json": scenario_page.schema(),
        metrics: metrics_page.with_parts(metrics.read_text(encoding="utf-8")),
        chart / "templates" / "crd" / "scenarios.yaml": crd.template(),
        chart / "values.schema.json": chart_values.schema(),
        chart / "LICENSE": (root / "LICENSE").read_text(encoding="utf-8"),
        chart / "README.md": chart_readme.page((chart / "values.yaml").read_text(encoding="utf-8")),
        root / rules.FILE: rules.text(),
        **answers.pages(docs / "answers"),
        **{chart / "dashboards" / name: text for name, text in texts().items()},
    }
