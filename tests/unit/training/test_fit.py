import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from frostline.network.heads import DepthHead
from frostline.training import fit
from frostline.training.fit import choose_pictures, concatenate, fit_depth_head


def clusters(count, width, *, seed, classes=3, spread=1.0, informative=True):
    """Features of classes around their own centres, and labels."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = torch.randn(classes, width, generator=torch.Generator().manual_seed(99))
    noise = spread * torch.randn(count, width, generator=draw)
    return (centres[labels] if informative else 0) + noise, labels


def loss_of(head, features, labels):
    with torch.no_grad():
        return float(functional.cross_entropy(head(features), labels))


@pytest.mark.parametrize("decay", [1e-1, 1e-2, 1e-3])
def test_it_is_logistic_regression(decay, monkeypatch):
    monkeypatch.setattr(fit, "DECAYS", (decay,))
    features, labels = clusters(150, 8, seed=0, spread=1.5)
    val, val_labels = clusters(90, 8, seed=1, spread=1.5)
    head = DepthHead((8,), 3)
    choice = fit_depth_head(head, features, labels, val, val_labels)

    def standardised(x):
        return ((x - head.mean) * head.scale).numpy().astype(np.float64)

    theirs = LogisticRegression(C=1 / (decay * len(features)), tol=1e-8, max_iter=1000)
    theirs.fit(standardised(features), labels.numpy())
    expected = theirs.predict_proba(standardised(val))
    with torch.no_grad():
        got = head(val).softmax(dim=1).numpy()
    np.testing.assert_allclose(got, expected, atol=2e-3)
    assert (got.argmax(axis=1) == theirs.predict(standardised(val))).all()
    their_loss = -np.log(expected[np.arange(90), val_labels]).mean()
    assert choice.val_loss == pytest.approx(their_loss, rel=1e-3)
    assert loss_of(head, val, val_labels) == pytest.approx(choice.val_loss, rel=1e-5)


def test_features_are_standardised_by_training_alone():
    features, labels = clusters(60, 5, seed=0)
    features = features * torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]) + 10
    head = DepthHead((5,), 3)
    fit_depth_head(head, features, labels, features[:30] + 100, labels[:30])
    torch.testing.assert_close(head.mean, features.mean(dim=0))
    torch.testing.assert_close(head.scale, 1 / features.std(dim=0))


def test_the_informative_depth_is_chosen():
    """The deepest is noise here; the one above it tells the classes apart."""
    val_labels = clusters(300, 1, seed=0)[1]
    parts = []
    for width, spread, informative in ((40, 1.0, False), (4, 0.8, True), (6, 1.0, False)):
        made = (clusters(n, width, seed=n + width, spread=spread, informative=informative) for n in (60, 300))
        parts.append([features for features, _ in made])
    train, val = (torch.cat(features, dim=1) for features in zip(*parts, strict=True))
    head = DepthHead((40, 4, 6), 3)
    choice = fit_depth_head(head, train, torch.arange(60) % 3, val, val_labels)
    assert choice.depths == 2
    assert loss_of(head, val, val_labels) < 0.9  # ln 3, by chance, is 1.1
    assert (head.scale[:40] == 0).all()
    assert (head.scale[40:] > 0).all()
    assert (head.linear.weight[:, :40] == 0).all()


def test_useless_depths_are_left_out():
    (good, labels), (val_good, val_labels) = clusters(45, 4, seed=2, spread=0.8), clusters(300, 4, seed=3, spread=0.8)
    (noise, _), (val_noise, _) = (
        clusters(45, 40, seed=0, informative=False),
        clusters(300, 40, seed=1, informative=False),
    )
    head = DepthHead((40, 4), 3)
    choice = fit_depth_head(
        head, torch.cat([noise, good], dim=1), labels, torch.cat([val_noise, val_good], dim=1), val_labels
    )
    assert choice.depths == 1
    before = head(val_noise.new_zeros(2, 44))
    torch.testing.assert_close(head(torch.cat([1e6 * torch.ones(2, 40), torch.zeros(2, 4)], dim=1)), before)


def test_the_decay_with_the_lowest_validation_loss_wins(monkeypatch):
    features, labels = clusters(30, 20, seed=0, spread=3.0)
    val, val_labels = clusters(300, 20, seed=1, spread=3.0)
    losses = {}
    for decay in fit.DECAYS:
        with monkeypatch.context() as patch:
            patch.setattr(fit, "DECAYS", (decay,))
            losses[decay] = fit_depth_head(DepthHead((20,), 3), features, labels, val, val_labels).val_loss
    choice = fit_depth_head(DepthHead((20,), 3), features, labels, val, val_labels)
    assert choice.decay == min(losses, key=losses.__getitem__)
    assert choice.val_loss == pytest.approx(min(losses.values()), rel=1e-2)


def test_a_constant_channel_does_not_blow_up():
    features, labels = clusters(60, 4, seed=0)
    features[:, 2] = 3.3
    head = DepthHead((4,), 3)
    fit_depth_head(head, features, labels, features, labels)
    typical = features.std(dim=0).mean()
    assert float(head.scale[2]) == pytest.approx(float(10 / typical), rel=1e-4)
    moved = features.clone()
    moved[:, 2] += 0.01  # what a later stage changes below moves the logits no more than a little
    with torch.no_grad():
        assert float((head(moved) - head(features)).abs().max()) < 0.5


def test_dead_layers_give_finite_heads():
    features, labels = clusters(30, 4, seed=0)
    dead = torch.cat([features, torch.zeros(30, 3)], dim=1)
    for widths in ((4, 3), (7,)):
        head = DepthHead(widths, 3)
        fit_depth_head(head, dead, labels, dead, labels)
        assert all(bool(value.isfinite().all()) for value in head.state_dict().values())
        assert loss_of(head, dead, labels) < 1.0


def test_as_many_pictures_are_chosen_as_are_affordable_the_same_each_time(monkeypatch):
    assert sorted(choose_pictures(200, 18)) == list(range(200))
    monkeypatch.setattr(fit, "MOST_PICTURES", 50)
    chosen = choose_pictures(200, 18)
    assert len(set(chosen)) == 50
    assert max(chosen) > 150, "from all over, not the first"
    assert chosen == choose_pictures(200, 18)
    assert len(choose_pictures(200, int(fit.MOST_WORK / 7))) == 7


def test_concatenate():
    batches = [(torch.ones(2, 3).bfloat16(), torch.zeros(2, 1)), (torch.ones(1, 3).bfloat16(), torch.ones(1, 1))]
    joined = concatenate(batches)
    assert joined.dtype == torch.float32
    assert joined.tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
