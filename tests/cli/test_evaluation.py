"""What `add4rsc evaluate` prints of many classes."""

from add4rsc.datasets.sprsound import SprSound2022

SEVEN = SprSound2022.tasks["task-1-2"].classes


def test_confusions_of_seven_classes_have_a_line_each_in_a_narrow_terminal(cli, made, tmp_path, monkeypatch):
    table = made(classes=SEVEN)
    table.table.to_csv(tmp_path / "seven.csv", index=False)
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli("evaluate", tmp_path / "seven.csv").out.splitlines()
    rows = [line.split() for line in lines if line.split()[1:2] and line.split()[1] in SEVEN]
    assert [row[:2] for row in rows] == [[str(number), name] for number, name in enumerate(SEVEN, start=1)]
    assert sum(int(count) for row in rows for count in row[2:9]) == len(table.table)
    assert ["1", "2", "3", "4", "5", "6", "7", "recall", "precision", "F1"] in [line.split() for line in lines]
