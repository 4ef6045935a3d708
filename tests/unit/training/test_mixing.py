import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frostline.training.mixing import NO_MIX, Mix, draw_mix, mix_values, partners_of


def test_nothing_asked_for_is_nothing_mixed():
    assert draw_mix(0, 0, 5) is NO_MIX


@given(seed=st.integers(0, 2**40), alpha=st.floats(0.1, 5))
def test_mixup_blends_with_the_partner(seed, alpha):
    mix = draw_mix(alpha, 0, seed)
    assert mix.box is None
    assert 0 <= mix.share <= 1
    value, partners = torch.randn(5, 3, 4, 4), partners_of(5, seed)
    (mixed,), share = mix_values((value,), mix, partners, (0,))
    assert share == mix.share
    torch.testing.assert_close(mixed, share * value + (1 - share) * value[partners])


@given(seed=st.integers(0, 2**40))
def test_cutmix_pastes_a_box_and_counts_it_exactly(seed):
    value = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 9, 7).clone()
    before, partners = value.clone(), partners_of(6, seed)
    (mixed,), share = mix_values((value,), draw_mix(0, 1.0, seed), partners, (0,))
    assert torch.equal(value, before), "the stored batch is not changed"
    for i in range(6):
        kept = mixed[i] == value[i]
        if partners[i] != i:
            assert float(kept.double().mean()) == pytest.approx(share)
        assert torch.equal(mixed[i][~kept], value[partners[i]][~kept])


def test_cutmix_blends_what_has_no_place_by_the_same_share():
    partners = torch.tensor([1, 0])
    map_, vector = torch.randn(2, 3, 8, 8), torch.randn(2, 5)
    (_, blended), share = mix_values((map_, vector), Mix(0.75, (0.0, 0.0, 0.5, 0.5)), partners, (0, 0))
    assert share == 0.75
    torch.testing.assert_close(blended, 0.75 * vector + 0.25 * vector[partners])
    (alone,), share = mix_values((vector,), Mix(0.6, (0.0, 0.0, 0.5, 0.8)), partners, (0,))
    torch.testing.assert_close(alone, 0.6 * vector + 0.4 * vector[partners])
    assert share == 0.6


def test_cutmix_cuts_the_sides_of_a_map_wherever_its_channels_are():
    partners = torch.tensor([1, 0])
    first = torch.randn(2, 3, 8, 6)
    mix = Mix(0.75, (0.0, 0.25, 0.5, 1.0))
    (mixed,), share = mix_values((first,), mix, partners, (0,))
    (last,), share_last = mix_values((first.permute(0, 2, 3, 1),), mix, partners, (2,))
    assert share == share_last == 1 - 4 * 4 / 48
    torch.testing.assert_close(last.permute(0, 3, 1, 2), mixed, rtol=0, atol=0)


def test_with_both_some_steps_take_one_and_some_the_other():
    kinds = [draw_mix(0.2, 1.0, seed).box is None for seed in range(200)]
    assert 60 < sum(kinds) < 140
    assert draw_mix(0.2, 1.0, 7) == draw_mix(0.2, 1.0, 7)


def test_partners_are_a_permutation_of_their_seed():
    assert sorted(partners_of(9, 1).tolist()) == list(range(9))
    assert partners_of(9, 1).equal(partners_of(9, 1))
    assert not partners_of(9, 1).equal(partners_of(9, 2))
