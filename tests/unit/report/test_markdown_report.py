import re

from stepmark.report import markdown
from unit.report.example_summary import example


def test_every_table_has_as_many_columns_in_its_head_as_in_its_rows() -> None:
    lines = markdown.render(example()).splitlines()
    heads = [number for number, line in enumerate(lines) if re.fullmatch(r"\|(-+:?\|)+", line)]
    assert len(heads) == 7
    for number in heads:
        columns = lines[number].count("|")
        assert lines[number - 1].count("|") == lines[number + 1].count("|") == columns


def test_a_markdown_report_holds_every_kind_of_figure_and_reason_of_a_run() -> None:
    text = markdown.render(example())
    for part in (
        "Karp-Flatt serial fraction | scaled serial fraction |",
        "| 14.20 [13.92, 14.48] | 14.34 [14.06, 14.63] | 14.36 |",
        "| torch.eager.float32.w8 | 5 | 20.26 [19.86, 20.67] | 20.26 [19.86, 20.66] | – | 12.07 [12.07, 12.07] |",
        "those in the windows 10.13 ms (x 2.00",
        "a rank that is 2.1% slower or more would have been seen in 80% of runs, from 125 steps of 5 launches",
        "125 steps of 5 launches are too few for this noise",
        "No split: this strategy cannot leave out its exchange",
        "rank 7 on node-b is 6.0% slower",
        "keras.b starts 1 s later than torch.a and never catches up",
        "| torch.eager.float32.w1 | 41.1 | – | 20.6% | – | 0.3082 |",
        "- DDP's buffers: off; users get on; the split needs it (torch.eager.float32.w2, torch.eager.float32.w4",
        "vendor's peak: unknown",
    ):
        assert part in text
