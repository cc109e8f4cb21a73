"""Calibrators: the optimum is scipy's, the forms that must agree do, and bad held-out data are refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.testing import assert_close

from likelihead.errors import DomainError, OptionError, ShapeError, TargetError
from likelihead.evaluate import Calibrator, PlattScaling, TemperatureScaling, VectorScaling
from likelihead.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, MultiLabel


def classes(n: int = 400, c: int = 4, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits that are `scale` times too sure, and targets drawn from the honest ones."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(n, c, generator=generator, dtype=torch.float64) * 1.5
    target = torch.multinomial(torch.softmax(honest, 1), 1, generator=generator).squeeze(1)
    return scale * honest, target


def labels(n: int = 300) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    honest = torch.randn(n, 3, generator=generator, dtype=torch.float64) + torch.tensor([0.0, -1.0, 0.5])
    target = torch.bernoulli(torch.sigmoid(honest), generator=generator)
    return honest * torch.tensor([2.0, 0.5, 4.0]) + torch.tensor([1.0, 0.0, -2.0]), target


def softmax_nll(logits: np.ndarray, target: np.ndarray) -> float:
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-log_p[np.arange(len(target)), target].mean())


def test_temperature_is_the_one_scipy_finds() -> None:
    logits, target = classes()
    scaling = TemperatureScaling()
    report = scaling.fit(Categorical(4), logits, target, pseudo_count=0)
    z, y = logits.numpy(), target.numpy()
    best = minimize(lambda b: softmax_nll(z * b[0], y), [1.0], method="Nelder-Mead", options={"xatol": 1e-10})
    assert scaling.temperature == pytest.approx(1 / best.x[0], rel=1e-6)
    assert report.nll_after == pytest.approx(softmax_nll(z / scaling.temperature, y), rel=1e-12)
    assert report.nll_after <= best.fun + 1e-15
    assert report.nll_before == pytest.approx(softmax_nll(z, y), rel=1e-12)
    assert 2.5 < scaling.temperature < 3.6
    assert report.ece_after < report.ece_before / 2
    assert report.count == 400
    assert not report.at_bound
    assert report.parameters == 1
    assert report.gain == pytest.approx(400 * (report.nll_before - report.nll_after))
    assert not report.by_chance
    assert torch.equal(scaling(logits).argmax(1), logits.argmax(1))


def test_vector_scaling_is_the_optimum() -> None:
    logits, target = classes(c=3)
    scaling = VectorScaling(3)
    report = scaling.fit(Categorical(3), logits, target, pseudo_count=0)
    z, y = logits.numpy(), target.numpy()
    start = np.concatenate([np.ones(3), np.zeros(3)])
    best = minimize(lambda p: softmax_nll(z * p[:3] + p[3:], y), start, method="BFGS", options={"gtol": 1e-9})
    assert report.nll_after == pytest.approx(best.fun, rel=1e-9)
    np.testing.assert_allclose(scaling.scale.numpy(), best.x[:3], rtol=1e-4)
    assert scaling.shift.mean().item() == pytest.approx(0, abs=1e-12)
    assert report.nll_after < TemperatureScaling().fit(Categorical(3), logits, target).nll_after


def test_platt_is_the_optimum_and_each_label_stands_alone() -> None:
    logits, target = labels()
    scaling = PlattScaling(3)
    report = scaling.fit(MultiLabel(3), logits, target, pseudo_count=0)
    assert report.count == 900
    for label in range(3):
        z, y = logits[:, label].numpy(), target[:, label].numpy()
        best = minimize(
            lambda p, z=z, y=y: np.mean(np.logaddexp(0, z * p[0] + p[1]) - y * (z * p[0] + p[1])),
            [1.0, 0.0],
            method="BFGS",
            options={"gtol": 1e-10},
        )
        got = [scaling.scale[label].item(), scaling.shift[label].item()]
        np.testing.assert_allclose(got, best.x, rtol=1e-5)
        alone = PlattScaling()
        alone.fit(Bernoulli(), logits[:, label], target[:, label], pseudo_count=0)
        np.testing.assert_allclose([alone.scale.item(), alone.shift.item()], got, rtol=1e-6)


def test_it_undoes_what_was_done() -> None:
    """Logits that are already best: the fit on a transformed copy finds the way back."""
    logits, target = classes()
    first = TemperatureScaling()
    first.fit(Categorical(4), logits, target, pseudo_count=0)
    again = TemperatureScaling()
    again.fit(Categorical(4), first(logits) * 7.0, target, pseudo_count=0)
    assert again.temperature == pytest.approx(7.0, rel=1e-9)
    z, y = labels()
    platt, back = PlattScaling(3), PlattScaling(3)
    platt.fit(MultiLabel(3), z, y, pseudo_count=0)
    back.fit(MultiLabel(3), platt(z) * 1e3 + 50.0, y, pseudo_count=0)
    assert_close(back(platt(z) * 1e3 + 50.0), platt(z), rtol=1e-6, atol=1e-6)


def test_what_is_left_out_does_not_matter() -> None:
    logits, target = classes(100)
    plain, padded = TemperatureScaling(), TemperatureScaling()
    plain.fit(Categorical(4), logits, target)
    more = torch.cat([logits, torch.full((5, 4), math.nan, dtype=torch.float64)])
    report = padded.fit(Categorical(4), more, torch.cat([target, torch.full((5,), -100)]))
    assert padded.temperature == plain.temperature
    assert report.count == 100
    z, y = labels(80)
    missing = torch.rand(80, 3) < 0.2
    by_nan, by_mask = PlattScaling(3), PlattScaling(3)
    first = by_nan.fit(MultiLabel(3), z, torch.where(missing, torch.nan, y))
    second = by_mask.fit(MultiLabel(3), torch.where(missing, torch.inf, z), y, mask=~missing)
    assert first == second
    assert torch.equal(by_nan.scale, by_mask.scale)
    assert first.count == int((~missing).sum())


def test_segmentation_shapes_are_rows() -> None:
    logits, target = classes(240)
    flat, maps = TemperatureScaling(), TemperatureScaling()
    flat.fit(Categorical(4), logits, target)
    folded = logits.reshape(4, 6, 10, 4).movedim(-1, 1)
    maps.fit(Categorical(4), folded, target.reshape(4, 6, 10))
    assert maps.temperature == flat.temperature
    vector = VectorScaling(4)
    vector.fit(Categorical(4), folded, target.reshape(4, 6, 10))
    assert_close(vector(folded).movedim(1, -1).reshape(-1, 4), vector(logits))


def test_no_mistake_leaves_the_fit_finite() -> None:
    logits, target = classes(60)
    target = logits.argmax(1)
    for calibrator in (TemperatureScaling(), VectorScaling(4)):
        report = calibrator.fit(Categorical(4), logits, target)
        assert math.isfinite(report.nll_after)
        assert not report.at_bound
        assert bool(torch.isfinite(calibrator(logits)).all())
    with pytest.raises(OptionError, match="no finite optimum"):
        VectorScaling(4).fit(Categorical(4), logits, target, pseudo_count=0)
    extreme = TemperatureScaling()
    assert extreme.fit(Categorical(4), logits, target, pseudo_count=0).at_bound


def test_held_out_rows_without_a_mistake_do_not_make_the_model_sure_of_everything() -> None:
    """Logits close together and all right: the temperature was 0.09 for four rows, 0.02 for sixty."""
    for rows, lead, least in ((4, 0.2, 0.65), (30, 1.0, 0.28), (60, 0.1, 0.05)):
        target = torch.arange(rows) % 2
        logits = torch.where(torch.arange(2) == target.unsqueeze(1), lead, 0.0).double()
        scaling, platt, vector = TemperatureScaling(), PlattScaling(), VectorScaling(2)
        scaling.fit(Categorical(2), logits, target)
        assert least < scaling.temperature < 1
        platt.fit(Bernoulli(), logits[:, 1] - logits[:, 0], target)
        assert platt.scale.item() < 1 / least
        vector.fit(Categorical(2), logits, target)
        assert float(vector.scale.max()) < 1 / least


def test_one_mistake_by_a_hair_does_not_either() -> None:
    logits = torch.tensor([[1.0, 0.0]] * 20 + [[0.0, 1.0]] * 20 + [[0.0, 0.01]]).double()
    target = torch.tensor([0] * 20 + [1] * 20 + [0])
    likely, held = TemperatureScaling(), TemperatureScaling()
    likely.fit(Categorical(2), logits, target, pseudo_count=0)
    held.fit(Categorical(2), logits, target)
    assert likely.temperature < 0.12
    assert held.temperature > 0.25


@pytest.mark.parametrize("pseudo_count", [0.0, 0.5, 1.0, 4.0])
def test_with_pseudo_count_it_is_the_optimum_scipy_finds(pseudo_count: float) -> None:
    logits, target = classes(40, 3)
    z, y = logits.numpy(), target.numpy()
    own = torch.softmax(logits, 1).numpy()

    def objective(scale: np.ndarray, shift: np.ndarray) -> float:
        log_p = torch.log_softmax(torch.from_numpy(z * scale + shift), 1).numpy()
        held = np.sum(np.sqrt(1 + (scale - 1) ** 2) - 1)
        said = -log_p[np.arange(len(y)), y].sum() - pseudo_count * (own * log_p).sum(1).mean()
        return float(said + pseudo_count * held)

    start = np.concatenate([np.ones(3), np.zeros(3)])
    best = minimize(lambda p: objective(p[:3], p[3:]), start, method="BFGS", options={"gtol": 1e-9})
    vector = VectorScaling(3)
    vector.fit(Categorical(3), logits, target, pseudo_count=pseudo_count)
    np.testing.assert_allclose(vector.scale.numpy(), best.x[:3], rtol=1e-4)
    one = minimize(lambda b: objective(b[:1], np.zeros(3)), [1.0], method="BFGS", options={"gtol": 1e-10})
    scaling = TemperatureScaling()
    scaling.fit(Categorical(3), logits, target, pseudo_count=pseudo_count)
    assert scaling.temperature == pytest.approx(1 / one.x[0], rel=1e-5)


def test_thousands_of_rows_may_make_it_surer() -> None:
    target = torch.arange(4000) % 2
    logits = torch.where(torch.arange(2) == target.unsqueeze(1), 0.05, 0.0).double()
    scaling = TemperatureScaling()
    scaling.fit(Categorical(2), logits, target)
    assert scaling.temperature < 0.02


def test_a_model_worse_than_chance_ends_at_the_bound() -> None:
    logits, _ = classes(60)
    report = (scaling := TemperatureScaling()).fit(Categorical(4), logits, logits.argmin(1))
    assert report.at_bound
    assert scaling.temperature == pytest.approx(1000, rel=1e-9, abs=1e-12)


def test_it_is_saved_and_loaded() -> None:
    logits, target = classes(100)
    for make in (TemperatureScaling, lambda: VectorScaling(4)):
        first, second = make(), make()
        first.fit(Categorical(4), logits, target)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first(logits), second(logits))
        assert not list(first.parameters())
        assert first(logits.float()).dtype == torch.float32
        assert first(logits.bfloat16()).dtype == torch.float32


def test_it_fits_in_inference_mode_and_soft_targets() -> None:
    logits, target = classes(100)
    shares = torch.softmax(logits / 3, 1)
    with torch.inference_mode():
        vector = VectorScaling(4)
        vector.fit(Categorical(4), logits * 1.0, target * 1)
        scaling = TemperatureScaling()
        scaling.fit(Categorical(4), logits, shares, pseudo_count=0)
    assert scaling.temperature == pytest.approx(3.0, rel=1e-9)


@pytest.mark.parametrize("calibrator", [TemperatureScaling(), PlattScaling()])
def test_a_planted_wrong_temperature_is_noticed(calibrator: Calibrator) -> None:
    """The test of the optimum can fail: half the slope away the NLL is higher."""
    logits, target = labels()
    z, y = logits[:, 0], target[:, 0]
    report = calibrator.fit(Bernoulli(), z, y, pseudo_count=0)
    for factor in (0.97, 1.03):
        assert Bernoulli()(calibrator(z) * factor, y).item() > report.nll_after + 1e-6


def bad(calibrator: Calibrator, likelihood: Likelihood, logits: Tensor, target: Tensor) -> None:
    calibrator.fit(likelihood, logits, target)


def test_refusals() -> None:
    logits, target = classes(20)
    with pytest.raises(TargetError, match="holds class 2 only; expected at least two"):
        bad(TemperatureScaling(), Categorical(4), logits, torch.full((20,), 2))
    with pytest.raises(TargetError, match="label 1 of target holds class 0 only"):
        bad(PlattScaling(2), MultiLabel(2), logits[:, :2], torch.tensor([[0.0, 0.0], [1.0, 0.0]] * 10))
    with pytest.raises(TargetError, match="class 1 only"):
        bad(TemperatureScaling(), Bernoulli(), logits[:, 0], torch.ones(20))
    with pytest.raises(OptionError, match="nothing that counts"):
        bad(TemperatureScaling(), Categorical(4), logits, torch.full((20,), -100))
    with pytest.raises(OptionError, match="nothing that counts"):
        bad(TemperatureScaling(), MultiLabel(4), logits, torch.full((20, 4), math.nan))
    with pytest.raises(DomainError, match="LH801"):
        bad(TemperatureScaling(), Categorical(4), torch.where(logits > 3, torch.inf, logits), target)
    with pytest.raises(OptionError, match="is a Gaussian"):
        bad(TemperatureScaling(), Gaussian(), logits, logits)
    with pytest.raises(OptionError, match="takes log-probabilities"):
        bad(TemperatureScaling(), Categorical.from_log_probs(4), logits, target)
    with pytest.raises(OptionError, match=r"VectorScaling\(3\)"):
        bad(VectorScaling(3), Categorical(4), logits, target)
    with pytest.raises(OptionError, match="fits a Bernoulli"):
        bad(PlattScaling(), Categorical(4), logits, target)
    with pytest.raises(OptionError, match="pseudo_count is -1"):
        TemperatureScaling().fit(Categorical(4), logits, target, pseudo_count=-1)
    with pytest.raises(OptionError, match="temperature is 0"):
        TemperatureScaling(0)
    with pytest.raises(ShapeError, match=r"expected \[N, 3, ...\]"):
        VectorScaling(3)(logits)
