"""Files as people have them: how they are written, what is missing, which column is the target."""

from __future__ import annotations

import csv
import io
import json
import random
from pathlib import Path

import pytest

from command import run

ROWS = 120


def air(missing: bool = True) -> str:
    """In the shape of an air quality table: semicolons, decimal commas, 18.00.00, -200, and empty ends."""
    draw = random.Random(1)
    lines = ["Date;Time;CO(GT);PT08.S1(CO);C6H6(GT);T;AH;;"]
    for hour in range(ROWS):
        benzene = draw.uniform(0.5, 12)
        cells = [
            f"{benzene / 4:.1f}",
            str(int(700 + 90 * benzene)),
            f"{benzene:.1f}",
            f"{draw.uniform(-2, 40):.1f}",
        ]
        cells += [f"{draw.uniform(0.2, 2):.4f}"]
        if missing:
            cells = ["-200" if draw.random() < 0.06 else cell for cell in cells]
        when = f"{13 + hour // 24}/03/2004;{hour % 24:02}.00.00;"
        lines.append((when + ";".join(cells) + ";;").replace(".", ",").replace(",00,00", ".00.00"))
    return "\r\n".join([*lines, ";;;;;;;;", ";;;;;;;;"]) + "\r\n"


def passengers(ends: str = "embarked") -> str:
    """In the shape of a passenger list: missing cells in the last column, ``alive`` beside ``survived``."""
    draw = random.Random(2)
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["survived", "pclass", "sex", "age", "fare", "alive", ends])
    for index in range(ROWS):
        sex = draw.choice(["male", "female"])
        yes = int(draw.random() < (0.75 if sex == "female" else 0.2))
        age = "" if draw.random() < 0.2 else draw.randint(1, 70)
        port = "" if index in (61, 100) else draw.choice("SCQ")
        table.writerow(
            [yes, draw.randint(1, 3), sex, age, round(draw.uniform(5, 90), 2), "ny"[yes] + "xo", port]
        )
    return out.getvalue()


def wine() -> str:
    """In the shape of the wine grades: semicolons, quoted names, grades of 3 to 9."""
    draw = random.Random(3)
    lines = ['"fixed acidity";"alcohol";"pH";"quality"']
    for i in range(ROWS):
        alcohol = draw.uniform(8, 14)
        grade = min(9, max(3, round(alcohol / 2 + draw.gauss(0, 0.8))))
        grade = i % 7 + 3 if i < 14 else grade
        lines.append(f"{draw.uniform(4, 10):.1f};{alcohol:.1f};{draw.uniform(2.8, 3.8):.2f};{grade}")
    return "\n".join(lines) + "\n"


def adult() -> str:
    """In the shape of a census: a space behind each comma, and a question mark for what is not known."""
    draw = random.Random(4)
    lines = ["age, workclass, hours, income"]
    for _ in range(ROWS):
        hours = draw.randint(10, 70)
        work = draw.choice(["Private", "State-gov", "?"])
        lines.append(f"{draw.randint(17, 80)}, {work}, {hours}, {'>50K' if hours > 45 else '<=50K'}")
    return "\n".join(lines) + "\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(content: str, name: str = "in.csv", encoding: str = "utf-8") -> str:
    Path(name).write_bytes(content.encode(encoding))
    return name


def said(*argv: object) -> str:
    """What a training of one epoch says on standard error, in one line."""
    return " ".join(run("train", *argv, "--epochs", 1, "--hidden", 2, "--out", "r").stderr.split())


def refused(*argv: object) -> str:
    lines = run(*argv, code=2).stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def columns(folder: str = "r") -> dict[str, str]:
    schema = json.loads(Path(folder, "schema.json").read_text())
    return {column["name"]: column["kind"] for column in schema["columns"]}


def means(folder: str = "r") -> dict[str, float]:
    schema = json.loads(Path(folder, "schema.json").read_text())
    return {column["name"]: column["mean"] for column in schema["columns"]}


def test_decimal_commas_times_dates_and_empty_ends() -> None:
    text = said(write(air()), "--target", "C6H6(GT)", "--missing", "-200")
    assert "read with ';' between cells, decimal comma (" in text
    assert "times of day, as hours (Time)" in text
    assert "dates, the day first (Date)" in text
    assert columns() == {
        "Date": "date",
        "Time": "number",
        **dict.fromkeys(("CO(GT)", "PT08.S1(CO)", "T", "AH"), "number"),
    }
    assert 10 < means()["Time"] < 13
    assert 0.2 < means()["AH"] < 2
    assert "rows are left out, without a target (C6H6(GT)); --strict refuses such rows" in text
    # The numbers are those of the file, read by another reader.
    rows = list(csv.reader(Path("in.csv").read_text().splitlines(), delimiter=";"))[1:-2]
    known = [row for row in rows if row[4] != "-200"]
    assert f"{ROWS + 2 - len(known)} of {ROWS + 2} rows are left out" in text
    score = json.loads(run("evaluate", "r", "in.csv", "--json").stdout)
    assert score["rows"] == len(known)
    assert "left out, without a target" in Path("r/report.html").read_text("utf-8")


def test_a_number_that_may_mean_missing_is_only_suspected() -> None:
    text = said(write(air()), "--target", "T")
    assert "-200 in" in text
    assert "far from the rest" in text
    assert "--missing -200" in text
    assert "-200" not in said_of(write(air(missing=False)))


def said_of(name: str) -> str:
    return " ".join(
        run("train", name, "--target", "T", "--epochs", 1, "--hidden", 2, "--out", "s").stderr.split()
    )


def test_new_files_are_read_as_the_training_data_were() -> None:
    said(write(air()), "--target", "C6H6(GT)", "--missing", "-200")
    same = run("predict", "r", "in.csv").stdout
    # The same table as others write it: commas, points, another encoding.
    rows = list(csv.reader(air().splitlines(), delimiter=";"))
    out = io.StringIO()
    csv.writer(out).writerows([[cell.replace(",", ".") for cell in row] for row in rows])
    assert run("predict", "r", write(out.getvalue(), "points.csv")).stdout == same
    assert run("predict", "r", write(air(), "wide.csv", "utf-16")).stdout == same
    # A head of whole numbers alone says nothing of its own.
    whole = "\n".join(
        line if i == 0 else line.replace(",", "") for i, line in enumerate(air().splitlines()[:9])
    )
    run("predict", "r", write(whole + "\n", "whole.csv"))
    pipes = write(air().replace(";", "|"), "pipes.csv")
    assert run("predict", "r", pipes).stdout == same
    carets = write(air().replace(";", "^"), "carets.csv")
    assert "is missing" in refused("predict", "r", carets)
    assert run("predict", "r", carets, "--separator", "^").stdout == same
    dashes = write(air().replace("-200", "n.k."), "dashes.csv")
    assert "'n.k.' is not a number" in refused("predict", "r", dashes)
    assert run("predict", "r", dashes, "--missing", "n.k.").stdout == same


def test_commas_that_may_be_either_are_asked_for() -> None:
    rows = "".join(f"{1 + i % 8},{(137 * i) % 1000:03};{'pq'[i % 2]}\n" for i in range(40))
    name = write("a;y\n" + rows)
    assert "'1,000' may be 1.000 or 1000: say which with --decimal" in refused("train", name, "--out", "r")
    said(name, "--decimal", ",")
    small = means()["a"]
    run("train", name, "--decimal", ".", "--epochs", 1, "--out", "t")
    assert means("t")["a"] == pytest.approx(1000 * small)
    assert "decimal is 'x'" in refused("train", name, "--decimal", "x", "--out", "u")


def test_a_column_of_weights_is_not_taken_for_the_target() -> None:
    name = write("x,visits,w\n" + "".join(f"{i % 7},{i % 4},{1 + i % 3}\n" for i in range(40)))
    line = refused("train", name, "--out", "r")
    assert "the last column, 'w', may be --sample-weight: name it with --target" in line
    said(name, "--target", "visits", "--sample-weight", "w")


@pytest.mark.parametrize("place", ["in another column", "in its own column"])
def test_a_decimal_comma_among_decimal_points_is_asked_for(place: str) -> None:
    """It may be a slip, or two values; 1.5 in silence would be a guess."""
    own = place == "in its own column"
    cells = [f"{i}.5" if own and i % 2 else f'"{i % 7},5"' for i in range(40)]
    name = write("a,b,y\n" + "".join(f"{c},{i % 5}.25,{'pq'[i % 2]}\n" for i, c in enumerate(cells)))
    line = refused("train", name, "--out", "r")
    assert "column 'a': '0,5' has a comma and " in line
    assert ("'1.5' beside it" if own else "'0.25' in column 'b'") in line
    said(name, "--decimal", ",")
    assert columns() == {"a": "number", "b": "number"}
    assert means()["b"] == pytest.approx(2.25, abs=0.5)
    assert 2 < means()["a"] < 25
    run("train", name, "--decimal", ".", "--epochs", 1, "--out", "t")
    # A run that was told so reads other files in the same way.
    run("predict", "r", name)


def test_a_decimal_comma_beside_points_in_a_file_of_semicolons() -> None:
    """No comma stands between cells: each column is what it says, and the line names it."""
    name = write("a;b;y\n" + "".join(f"{i % 7},5;{i % 5}.25;{'pq'[i % 2]}\n" for i in range(40)))
    assert "decimal comma (a)" in said(name)
    assert means()["b"] == pytest.approx(2.25, abs=0.5)


def test_thousands_are_read_where_they_are_certain() -> None:
    rows = "".join(f'"1,{i * 37 % 60:03}.5",{i % 3},{"pq"[i % 2]}\n' for i in range(60))
    assert "commas between thousands (a)" in said(write("a,b,y\n" + rows))
    assert 1000 < means()["a"] < 1060


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings(encoding: str) -> None:
    rows = "".join(f"{i % 9},{('Zürich', 'Genève', 'Bern')[i % 3]},{'pq'[i % 2]}\n" for i in range(60))
    text = said(write("größe,ort,y\n" + rows, encoding=encoding))
    assert columns() == {"größe": "number", "ort": "category"}
    assert ("encoding utf" in text or "encoding cp" in text) == (encoding != "utf-8-sig")


def test_an_encoding_that_is_asked_for() -> None:
    rows = "".join(f"{i % 9},{('Москва', 'Казань')[i % 2]},{'pq'[i % 3 % 2]}\n" for i in range(60))
    name = write("a,город,y\n" + rows, encoding="cp1251")
    said(name, "--encoding", "cp1251")
    assert columns() == {"a": "number", "город": "category"}
    assert "is unknown" in refused("train", name, "--encoding", "nonsense", "--out", "t")
    assert "--encoding cp1251 does not apply to iris" in refused(
        "train", "iris", "--encoding", "cp1251", "--out", "t"
    )


def test_dashes_and_other_marks_are_missing_in_numbers() -> None:
    rows = "".join(
        f"{'-' if i % 7 == 0 else i * 37 % 50},{'-+'[i % 2]},{'pq'[i % 3 % 2]}\n" for i in range(70)
    )
    assert "a: 10 missing cells" in said(write("a,b,y\n" + rows))
    assert columns() == {"a": "number", "b": "category"}


def test_excels_first_line_and_single_quotes() -> None:
    said(write("sep=;\na;y\n" + "".join(f"{i % 7};{'pq'[i % 2]}\n" for i in range(40))))
    assert columns() == {"a": "number"}
    rows = "".join(f"'{'xyz'[i % 3]},1',{i % 5},'{'pq'[i % 2]}'\n" for i in range(40))
    run("train", write("a,b,y\n" + rows, "q.csv"), "--epochs", 1, "--out", "q")
    assert columns("q") == {"a": "category", "b": "number"}


def test_a_first_row_is_no_header() -> None:
    line = refused("train", write("\n".join(adult().splitlines()[1:]) + "\n"), "--out", "r")
    assert "the first line is a row, not the columns' names" in line


def test_a_target_that_nobody_named() -> None:
    line = refused("train", write(passengers()), "--out", "r")
    assert "no target is named" in line
    assert "'survived' may be meant as well" in line
    text = passengers().replace("survived,", "outcome of it,")
    line = refused("train", write(text), "--out", "r")
    assert "the last column, 'embarked', lacks 2 cells: name it with --target; the columns are" in line
    assert "'outcome of it', 'pclass'" in line
    line = refused("train", write(air()), "--out", "r")
    assert "is empty: name it with --target" in line
    assert "target: income (the last column; choose another with --target)" in said(write(adult()))


def test_rows_without_a_target_are_left_out_or_refused() -> None:
    name = write(passengers())
    text = said(name, "--target", "embarked")
    assert f"2 of {ROWS} rows are left out, without a target (embarked)" in text
    assert "row 62" in refused("train", name, "--target", "embarked", "--strict", "--out", "t")
    result = run("evaluate", "r", name)
    assert f"2 of {ROWS} rows are left out" in result.stderr
    assert "row 62" in refused("evaluate", "r", name, "--strict")
    assert len(run("predict", "r", name).stdout.splitlines()) == ROWS + 1
    # The figures are those of the rows that have one.
    kept = "".join(line for line in passengers().splitlines(True) if not line.rstrip().endswith(","))
    whole = json.loads(run("evaluate", "r", write(kept, "kept.csv"), "--json").stdout)
    some = json.loads(run("evaluate", "r", name, "--json").stdout)
    for figures in (whole, some):
        figures.pop("data"), figures.pop("notes")
    assert some == whole


def test_streamed_rows_are_left_out_alike() -> None:
    text = passengers()
    head, *rows = text.splitlines()
    name = write("\n".join([head, *rows * 60]) + "\n")
    held = said(name, "--target", "embarked", "--batch-size", 4096)
    options = ("--epochs", 1, "--hidden", 2, "--batch-size", 4096)
    run("train", name, "--target", "embarked", *options, "--memory", "1MiB", "--out", "streamed")
    assert f"120 of {60 * ROWS} rows are left out" in held
    one, other = (
        json.loads(run("evaluate", folder, name, "--json").stdout)["rows"] for folder in ("r", "streamed")
    )
    assert one == other == 60 * ROWS - 120


def test_a_column_that_gives_the_target_away() -> None:
    text = said(write(passengers()), "--target", "survived")
    assert "warning: alive alone gives the target (survived) away" in text
    assert text.count("warning:") == 1
    assert "alive alone gives" in Path("r/report.html").read_text("utf-8")
    # Sorted by class, with gaps: no counter, but each interval has its class.
    rows = "".join(f"{3 * i + i % 2},{i * 7 % 11},{'pqr'[i // 300]}\n" for i in range(900))
    name = write("number,b,y\n" + rows)
    assert "number alone" in run("train", name, "--epochs", 1, "--out", "s").stderr
    rows = "".join(f"{i * 37 % 101},{(i * 37 % 101) * 1.8 + 32:.2f}\n" for i in range(200))
    name = write("celsius,fahrenheit\n" + rows)
    assert "celsius alone" in run("train", name, "--epochs", 1, "--out", "t").stderr


def test_no_alarm_on_what_is_merely_easy() -> None:
    from likelihead.train.table.data import load
    from likelihead.train.table.leak import leaks

    for name in ("iris", "wine", "digits", "breast-cancer"):
        for seed in range(3):
            assert leaks(load(name, seed=seed)) == []


def test_grades_have_another_reading() -> None:
    text = said(write(wine()))
    assert "multiclass: the target has 7 whole values, 3 to 9" in text
    assert "the other reading is --task regression" in text
    assert columns() == dict.fromkeys(("fixed acidity", "alcohol", "pH"), "number")
    assert "other reading" not in run("train", "digits", "--epochs", 1, "--out", "d").stderr


def test_a_run_that_has_failed_says_so_first() -> None:
    result = run(
        "train", "iris", "--lr", 1000, "--optimizer", "sgd", "--epochs", 2, "--hidden", 4, "--out", "r"
    )
    assert result.stdout.startswith("FAILED: the test NLL of ")
    assert "warning: the NLL is" in " ".join(result.stderr.split())
    report = json.loads(Path("r/report.json").read_text())
    assert report["summary"][0].startswith("The model has failed")
