"""``likelihead sample`` and the other commands on a run on text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from command import run
from likelihead.errors import OptionError
from likelihead.train import TrainConfig, train
from likelihead.train.language import sample as module
from likelihead.train.language.sample import sample
from likelihead.train.language.trained import load_run

TEXT = "abcabcabc abc cab. café " * 12


def one_line(result: Result) -> str:
    assert result.stderr.count("\n") == 1, result.stderr
    assert "Traceback" not in result.output
    return result.stderr


OPTIONS = {"hidden": (8,), "batch_size": 4, "context": 8, "epochs": 3, "test_fraction": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("text")
    (root / "text.txt").write_text(TEXT, encoding="utf-8")
    for network in ("gru", "transformer"):
        config = TrainConfig(data=str(root / "text.txt"), task="language", network=network, **OPTIONS)  # type: ignore[arg-type]
        train(config, out=root / network)
    return root


NETWORKS = pytest.mark.parametrize("network", ["gru", "transformer"])


@NETWORKS
def test_text_is_written(folder: Path, network: str) -> None:
    first = run("sample", folder / network, "--tokens", 40, "--prompt", "abé").stdout_bytes
    assert first.startswith("abé".encode())
    assert len(first.decode()) <= 3 + 40 + 1
    assert first.endswith(b"\n")
    assert run("sample", folder / network, "--tokens", 40, "--prompt", "abé").stdout_bytes == first
    others = {run("sample", folder / network, "--tokens", 40, "--seed", n).stdout_bytes for n in range(3)}
    assert len(others) > 1


@NETWORKS
def test_incomplete_characters_are_replaced(folder: Path, network: str) -> None:
    # A new network's bytes are nearly those of the frequencies: the two of an é come apart.
    for seed in range(3):
        text = run("sample", folder / network, "--tokens", 200, "--seed", seed).stdout_bytes.decode("utf-8")
        if "\N{REPLACEMENT CHARACTER}" in text:
            return
    pytest.fail("no byte of a character came apart from the other")


@NETWORKS
def test_the_likeliest_text_is_drawn_by_no_seed(folder: Path, network: str) -> None:
    found = {
        run("sample", folder / network, "--temperature", 0, "--seed", n, "--tokens", 9).stdout_bytes
        for n in range(2)
    }
    found.add(run("sample", folder / network, "--top-k", 1, "--tokens", 9).stdout_bytes)
    found.add(run("sample", folder / network, "--temperature", 1e-300, "--tokens", 9).stdout_bytes)
    assert len(found) == 1


@NETWORKS
def test_tokens_come_as_often_as_they_should(folder: Path, network: str) -> None:
    trained = load_run(folder / network)
    prompt = [ord("a"), ord("b")]
    with torch.no_grad():
        logits = trained.model(torch.tensor([[256, *prompt]]))[0][0, -1].double()
    for temperature, top_k in ((1.0, 0), (0.5, 0), (1.0, 2)):
        cut = logits if not top_k else logits.where(logits >= logits.topk(top_k).values[-1], -torch.inf)
        want = torch.softmax(cut / temperature, 0).numpy()
        generator = torch.Generator().manual_seed(0)
        counts = np.zeros(257)
        for _ in range(400):
            drawn = module.draw(
                trained.model,
                trained.tokenizer,
                prompt,
                8,
                tokens=1,
                temperature=temperature,
                top_k=top_k,
                generator=generator,
            )
            counts[next(drawn, 256)] += 1
        deviation = np.sqrt(want * (1 - want) / 400)
        assert (np.abs(counts / 400 - want) <= 5 * deviation + 1e-12).all()


def test_a_recurrent_state_is_that_of_the_whole_text(folder: Path) -> None:
    trained = load_run(folder / "gru")
    greedy = list(
        module.draw(
            trained.model,
            trained.tokenizer,
            [97],
            8,
            tokens=12,
            temperature=0,
            top_k=0,
            generator=torch.Generator(),
        )
    )
    read = [256, 97]
    for token in greedy:
        with torch.no_grad():
            assert int(trained.model(torch.tensor([read]))[0][0, -1].argmax()) == token
        read.append(token)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tokens", 0], "tokens is 0"),
        (["--temperature", -1], "temperature is -1"),
        (["--temperature", "nan"], "temperature is nan"),
        (["--top-k", -1], "top_k is -1"),
        (["--seed", -1], "seed is -1"),
        (["--tokens", "x"], "--tokens"),
    ],
)
def test_wrong_options_are_one_line(folder: Path, options: list[object], words: str) -> None:
    assert words in one_line(run("sample", folder / "gru", *options, code=2))


def test_other_runs_are_refused(tmp_path: Path) -> None:
    train(TrainConfig(data="iris", epochs=1), out=tmp_path / "iris")
    assert "multiclass task, which writes no text" in one_line(run("sample", tmp_path / "iris", code=2))
    assert "not there" in one_line(run("sample", tmp_path / "none", code=2))


def test_a_terminals_bytes_that_are_no_utf_8(folder: Path) -> None:
    pieces = sample(folder / "gru", prompt="a\udcff", tokens=1)
    assert "".join(pieces).startswith("a\N{REPLACEMENT CHARACTER}")


def test_from_python_the_options_are_checked_at_the_call(folder: Path) -> None:
    with pytest.raises(OptionError, match="tokens"):
        sample(folder / "gru", tokens=0)


# -- the other commands -------------------------------------------------------------------------------


@NETWORKS
def test_the_held_out_text_has_the_reports_figures(folder: Path, tmp_path: Path, network: str) -> None:
    report = json.loads((folder / network / "report.json").read_text())
    content = TEXT.encode()
    held = report["figures"]["bytes"]
    (tmp_path / "held.txt").write_bytes(content[len(content) - held :])
    found = json.loads(run("evaluate", folder / network, tmp_path / "held.txt", "--json").stdout)
    for name in ("nll", "baseline_nll", "perplexity", "bits_per_byte", "bits_per_token", "tokens", "bytes"):
        assert found[name] == pytest.approx(report["figures"][name], rel=1e-9), name
    assert found["perplexity"] == pytest.approx(math.exp(found["nll"]), rel=1e-9)
    lines = (folder / network / "metrics.jsonl").read_text().splitlines()
    last = [record for record in map(json.loads, lines) if record["kind"] == "epoch"][-1]
    assert last["test_nll"] == report["figures"]["nll"]
    assert last["test_bits_per_byte"] == report["figures"]["bits_per_byte"]


def test_evaluate_on_other_text(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("zzz qqq")
    shown = run("evaluate", folder / "gru", tmp_path / "other.txt").stdout
    for word in ("perplexity", "bits per byte", "baseline nll"):
        assert word in shown
    (tmp_path / "empty.txt").touch()
    assert "is empty" in one_line(run("evaluate", folder / "gru", tmp_path / "empty.txt", code=2))


def test_predict_says_what_to_do(folder: Path) -> None:
    line = one_line(run("predict", folder / "gru", "x.txt", code=2))
    assert "likelihead sample" in line
    assert "likelihead evaluate" in line


@NETWORKS
def test_the_report(folder: Path, network: str) -> None:
    page = (folder / network / "report.html").read_text(encoding="utf-8")
    for word in ("Bits per byte", "Perplexity", 'id="position"', 'id="losses"', 'id="sample"', "<svg"):
        assert word in page
    report = json.loads((folder / network / "report.json").read_text(encoding="utf-8"))
    assert report["unit"] == "token"
    assert len(report["curves"]["test_bits_per_byte"]) == 3
    assert report["highest_loss"][0]["nll"] >= report["highest_loss"][-1]["nll"]
    around = report["highest_loss"][0]
    assert around["before"] == "" or around["before"].replace("\N{REPLACEMENT CHARACTER}", "") in TEXT
    scored = sum(row["tokens"] for row in report["by_tokens_read"])
    assert scored == report["figures"]["tokens"]
    assert "bits for a byte" in report["summary"][0]


def test_markup_in_a_text_stays_text(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("<script>alert(1)</script>\n" * 30)
    config = TrainConfig(data=str(tmp_path / "t.txt"), task="language", **{**OPTIONS, "epochs": 1})  # type: ignore[arg-type]
    train(config, out=tmp_path / "run")
    assert "<script>alert" not in (tmp_path / "run" / "report.html").read_text()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["none.txt"], "is not there"),
        (["empty"], "holds no file"),
        (["text.txt", "--tokenizer", "none.json"], "cannot be read as a tokenizer"),
        (["text.txt", "--hidden", "none"], "needs a layer"),
        (["text.txt", "--network", "lstm"], "expected gru or transformer"),
        (["text.txt", "--focal", "2"], "--focal 2 does not apply"),
        (["text.txt", "--packing", "loose"], "packed, padded"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], words: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir(exist_ok=True)
    result = run("train", argv[0], "--task", "language", *argv[1:], "--out", tmp_path / "run", code=2)
    assert words in one_line(result)
    assert not (tmp_path / "run").exists()


def test_a_moved_tokenizer_is_not_needed(folder: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    library = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.save(str(tmp_path / "t.json"))
    argv = ["--hidden", 8, "--context", 8, "--epochs", 1, "--tokenizer", tmp_path / "t.json"]
    run("train", folder / "text.txt", "--task", "language", *argv, "--out", tmp_path / "run")
    (tmp_path / "t.json").unlink()
    found = json.loads(run("evaluate", tmp_path / "run", folder / "text.txt", "--json").stdout)
    assert found["bytes"] == len(TEXT.encode())
    assert run("sample", tmp_path / "run", "--prompt", "é", "--tokens", 3).stdout.startswith("é")
