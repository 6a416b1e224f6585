"""Every loss against a case computed by hand, and the direction of its gradient."""

import math

import numpy as np
import pytest
import torch

from tandem_trainer.errors import JobError
from tandem_trainer.objectives.advantage import advantage_loss, advantages
from tandem_trainer.objectives.attention import cross_head_distance, map_distance, relation, relation_kl
from tandem_trainer.objectives.confidence import confidence_loss
from tandem_trainer.objectives.contrastive import info_nce, margin_contrast
from tandem_trainer.objectives.divergence import forward_kl, generalised, reverse_kl
from tandem_trainer.objectives.features import layer_map, state_distance
from tandem_trainer.objectives.multi_teacher import fused_law, unit_means
from tandem_trainer.objectives.on_policy import later_returns, sequence_reverse_kl
from tandem_trainer.objectives.preference import best_and_worst, dpo_loss, sequence_log_probability
from tandem_trainer.objectives.rank import rank_loss, soft_ranks
from tandem_trainer.objectives.rationale import long_chosen, two_task_loss
from tandem_trainer.objectives.selective import selection, student_uncertainty, teacher_confidence
from tandem_trainer.objectives.spans import Span, common_pieces, law_distance, span_likelihood_loss, span_log_probabilities, spans_of
from tandem_trainer.objectives.stored_laws import LawStore, sampled_cross_entropy, sampled_entries, top_entries, top_k_forward_kl


def laws(*rows):
    """Logits whose softmax is the given laws."""
    return torch.tensor(rows).log()


# Teacher (0.5, 0.3, 0.2), student (0.25, 0.25, 0.5).
TEACHER, STUDENT = laws([0.5, 0.3, 0.2]), laws([0.25, 0.25, 0.5])
WHOLE = 0.5 * math.log(2) + 0.3 * math.log(1.2) + 0.2 * math.log(0.4)


def test_generalised_divergence_ends_are_forward_and_reverse_kl():
    assert generalised(STUDENT, TEACHER, 0.0).item() == pytest.approx(WHOLE, abs=1e-6)
    assert torch.equal(generalised(STUDENT, TEACHER, 1.0), reverse_kl(STUDENT, TEACHER))
    assert generalised(STUDENT, TEACHER, 1e-4).item() / 1e-4 == pytest.approx(WHOLE, rel=1e-2)


# -- stored laws ---------------------------------------------------------------------------------------------------


def test_top_k_with_a_tail_bin_by_hand():
    ids, kept = torch.tensor([[0]]), torch.tensor([[math.log(0.5)]])
    # one token kept: 0.5 log(0.5 / 0.25) + 0.5 log(0.5 / 0.75)
    expected = 0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75)
    assert top_k_forward_kl(STUDENT, ids, kept).item() == pytest.approx(expected, abs=1e-6)
    # spread: the missing 0.5 is 0.25 on each of the two others
    spread = 0.5 * math.log(2) + 0.25 * math.log(1.0) + 0.25 * math.log(0.25 / 0.5)
    assert top_k_forward_kl(STUDENT, ids, kept, "spread").item() == pytest.approx(spread, abs=1e-6)
    # drop: one token scaled to 1 on both sides
    assert top_k_forward_kl(STUDENT, ids, kept, "drop").item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("tail", ["bin", "spread", "drop"])
def test_all_tokens_kept_is_the_whole_divergence(tail):
    torch.manual_seed(0)
    student, teacher = torch.randn(7, 11), torch.randn(7, 11)
    values, ids = torch.log_softmax(teacher, -1).topk(11, -1)
    assert torch.allclose(top_k_forward_kl(student, ids, values, tail), forward_kl(student, teacher), atol=1e-5)


def test_a_tail_bin_never_exceeds_the_whole_divergence_and_grows_with_k():
    torch.manual_seed(1)
    student, teacher = torch.randn(200, 50), 2 * torch.randn(200, 50)
    whole, before = forward_kl(student, teacher), torch.zeros(200)
    for k in (1, 4, 16, 49):
        values, ids = torch.log_softmax(teacher, -1).topk(k, -1)
        binned = top_k_forward_kl(student, ids, values)
        assert (binned <= whole + 1e-5).all() and (binned >= before - 1e-5).all()
        before = binned


def test_a_dropped_tail_leaves_an_overconfident_student_as_it_is_and_a_bin_does_not():
    teacher = laws([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    values, ids = torch.log_softmax(teacher, -1).topk(2, -1)
    fitted = {}
    for tail in ("bin", "spread", "drop"):
        student = torch.tensor([[5.0, 5.0, 0.0, 0.0, 0.0, 0.0]], requires_grad=True)  # 0.99 on the two stored tokens
        optimizer = torch.optim.Adam([student], lr=0.1)
        for _ in range(300):
            optimizer.zero_grad()
            top_k_forward_kl(student, ids, values, tail).sum().backward()
            optimizer.step()
        fitted[tail] = student.softmax(-1)[0, :2].sum().item()
    assert fitted["bin"] == pytest.approx(0.6, abs=0.01) and fitted["spread"] == pytest.approx(0.6, abs=0.01)
    assert fitted["drop"] > 0.95


def test_positions_without_a_tail_and_rounded_laws_give_numbers():
    sure = torch.tensor([[40.0, 0.0, 0.0]])
    ids, values = top_entries(sure, 1)
    stored = torch.from_numpy(values.astype(np.float32))
    student = torch.zeros(1, 3, requires_grad=True)
    for tail in ("bin", "spread", "drop"):
        loss = top_k_forward_kl(student, torch.from_numpy(ids.astype(np.int64)), stored + 1e-3, tail)
        loss.sum().backward()
        assert torch.isfinite(loss).all() and torch.isfinite(student.grad).all()
    with pytest.raises(ValueError, match="tail: expected one of"):
        top_k_forward_kl(student, torch.zeros(1, 1, dtype=torch.long), stored, "floor")
    with pytest.raises(ValueError, match="temperature: expected 1 with tail 'bin'"):
        top_k_forward_kl(student, torch.zeros(1, 1, dtype=torch.long), stored, "bin", 2.0)


def test_sampled_laws_are_unbiased_in_value_and_gradient():
    torch.manual_seed(2)
    teacher, student = torch.randn(1, 12), torch.randn(1, 12, requires_grad=True)
    random_ = torch.Generator().manual_seed(3)
    ids, shares = sampled_entries(teacher.expand(4000, -1), 6, random_)
    assert np.allclose(shares.sum(-1), 1.0) and ids.dtype == np.uint16
    estimates = sampled_cross_entropy(student.expand(4000, -1), torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(shares))
    truth = -(teacher.softmax(-1) * student.log_softmax(-1)).sum()
    error = estimates.std().item() / math.sqrt(4000)
    assert abs(estimates.mean().item() - truth.item()) < 4 * error
    (gradient,) = torch.autograd.grad(estimates.mean(), student, retain_graph=True)
    (wanted,) = torch.autograd.grad(forward_kl(student, teacher).sum(), student)
    assert torch.allclose(gradient, wanted, atol=0.02)


def test_a_store_comes_back_as_it_was_and_costs_few_bytes(tmp_path):
    ids, values = top_entries(torch.randn(30, 100), 16)
    store = LawStore("top", 100, np.repeat([2, 0, 1], 10).astype(np.uint32), np.tile(np.arange(10), 3).astype(np.uint16), ids, values, "abc")
    store.save(tmp_path / "laws.npz")
    back = LawStore.load(tmp_path / "laws.npz")
    assert np.array_equal(back.ids, ids) and np.array_equal(back.probabilities, values) and back.made == "abc" and back.kind == "top"
    assert back.bytes_per_token == 16 * 4
    assert back.index()[2].tolist() == list(range(10)) and sorted(back.index()) == [0, 1, 2]
    with pytest.raises(JobError, match="found nothing") as missing:
        LawStore.load(tmp_path / "none.npz")
    assert missing.value.code == "file_missing"
    (tmp_path / "bad.npz").write_bytes(b"no store")
    with pytest.raises(JobError, match="another kind of file") as bad:
        LawStore.load(tmp_path / "bad.npz")
    assert bad.value.code == "file_invalid"


# -- on-policy -----------------------------------------------------------------------------------------------------


def test_later_returns_by_hand():
    gain, keep = torch.tensor([[1.0, 2.0, 3.0, 9.0]]), torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    assert later_returns(gain, keep).tolist() == [[2.5, 3.0, 0.0, 0.0]]


def test_sequence_reverse_kl_by_hand():
    # Two sampled tokens; the law is the same at each state; drawn from the student itself, so the ratio is 1.
    student, teacher = (one[None].expand(1, 3, 3).clone() for one in (STUDENT, TEACHER))
    ids, keep = torch.tensor([[2, 0, 1]]), torch.tensor([[0.0, 1.0, 1.0]])
    drawn = torch.tensor([[0.0, math.log(0.25), math.log(0.25)]])
    got = sequence_reverse_kl(student, teacher, ids, keep, drawn)
    step = 0.25 * math.log(0.25 / 0.5) + 0.25 * math.log(0.25 / 0.3) + 0.5 * math.log(0.5 / 0.2)
    later = math.log(0.3) - math.log(0.25)  # what token 1 gains, after token 0
    assert got[0].tolist() == pytest.approx([step - later, step], abs=1e-5)


def test_the_policy_gradient_equals_the_gradient_of_the_sequence_divergence():
    """MiniLLM's gradient, averaged over all sequences, against autograd of the exact reverse KL of two-token sequences.

    Without length normalisation it would be exact; with it the first token's later part is a mean over one token,
    which is the same for sequences of two.
    """
    torch.manual_seed(4)
    first, second = torch.randn(1, 3), torch.randn(3, 3)
    teacher_first, teacher_second = torch.randn(1, 3), torch.randn(3, 3)
    parameters = [first.requires_grad_(), second.requires_grad_()]
    p, q = first.log_softmax(-1)[0], second.log_softmax(-1)
    tp, tq = teacher_first.log_softmax(-1)[0], teacher_second.log_softmax(-1)
    joint = (p[:, None] + q).exp()
    exact = (joint * (p[:, None] + q - tp[:, None] - tq)).sum()
    wanted = torch.autograd.grad(exact, parameters, retain_graph=True)
    total = 0.0
    for a in range(3):
        for b in range(3):
            student = torch.stack([first[0], second[a], torch.zeros(3)])[None]
            teacher = torch.stack([teacher_first[0], teacher_second[a], torch.zeros(3)])[None]
            ids, keep = torch.tensor([[0, a, b]]), torch.tensor([[0.0, 1.0, 1.0]])
            drawn = torch.tensor([[0.0, p[a].item(), q[a, b].item()]])
            total = total + joint[a, b].detach() * sequence_reverse_kl(student, teacher, ids, keep, drawn, clip=0.9).sum()
    got = torch.autograd.grad(total, parameters)
    for one, other in zip(got, wanted):
        assert torch.allclose(one, other, atol=1e-5)


# -- states --------------------------------------------------------------------------------------------------------


def test_layer_maps():
    assert layer_map(3, 6, "uniform") == [(1, 2), (2, 4), (3, 6)]
    assert layer_map(2, 5, "uniform")[-1] == (2, 5) and layer_map(2, 5, "last") == [(2, 5)]


def test_state_distance_by_hand():
    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 2.0]])
    assert state_distance(a, b, "mse").item() == pytest.approx(2.0 / 6.5)  # mean square 2, teacher's mean square 6.5
    assert state_distance(a, b, "cosine").item() == pytest.approx(1 - 7 / math.sqrt(5 * 13))
    with pytest.raises(ValueError, match="teacher states: expected shape"):
        state_distance(a, torch.zeros(1, 3), "mse")


def test_map_distance_by_hand():
    own, theirs = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    own[0, 0], theirs[0, 0] = torch.tensor([[1.0, 0.0], [0.5, 0.5]]), torch.tensor([[1.0, 0.0], [0.2, 0.8]])
    assert map_distance(own, theirs, torch.ones(1, 2)).item() == pytest.approx((0 + 0.18) / 2)
    assert map_distance(own, theirs.repeat(1, 2, 1, 1), torch.tensor([[0.0, 1.0]])).item() == pytest.approx(0.18)


def test_relations_by_hand_and_whatever_the_heads():
    mask = torch.ones(1, 1, 2, 2, dtype=torch.bool).tril()
    x = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])  # one head, two positions, width 2
    got = relation(x, 1, mask)[0, 0].exp()
    second = math.exp(1 / math.sqrt(2))
    assert got[0].tolist() == pytest.approx([1.0, 0.0]) and got[1].tolist() == pytest.approx([1 / (1 + second), second / (1 + second)])
    torch.manual_seed(5)
    four = torch.randn(2, 4, 6, 8)
    two = four.transpose(1, 2).reshape(2, 6, 2, 16).transpose(1, 2)  # the same vectors, other heads
    wide = torch.ones(2, 1, 6, 6, dtype=torch.bool).tril()
    assert relation_kl(two, four, 4, wide, torch.ones(2, 6)).item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="relation_heads: expected to divide the width 32, got 5"):
        relation(four, 5, wide)


def test_a_head_follows_the_likest_head_of_any_layer():
    torch.manual_seed(6)
    maps = [torch.rand(1, 2, 5, 5).softmax(-1) for _ in range(3)]
    keep = torch.ones(1, 5)
    student = [maps[2][:, :1], maps[0][:, 1:]]  # heads of other layers than their own
    assert cross_head_distance(student, maps, keep, 1e3).item() == pytest.approx(0.0, abs=1e-6)
    assert cross_head_distance(student, maps, keep, 0.0).item() > 1e-4
    # by hand: one student head against two teacher heads at distances 0.5 and 2, sharpness 0: the mean
    a = [torch.tensor([[[[1.0, 0.0]]]])]
    b = [torch.tensor([[[[0.5, 0.5]], [[0.0, 1.0]]]])]
    assert cross_head_distance(a, b, torch.ones(1, 1), 0.0).item() == pytest.approx((0.5 + 2.0) / 2)


# -- several teachers, selection, rank, advantage --------------------------------------------------------------------


def test_fused_laws_by_hand():
    one, two = laws([0.8, 0.2], [0.8, 0.2]), laws([0.4, 0.6], [0.4, 0.6])
    targets, units, weights = torch.tensor([0, 1]), torch.tensor([0, 1]), torch.ones(2)
    assert fused_law([one, two], targets, units, weights, "mean").exp()[0].tolist() == pytest.approx([0.6, 0.4])
    assert fused_law([one, two], targets, units, weights, "min_ce").exp().flatten().tolist() == pytest.approx([0.8, 0.2, 0.4, 0.6])
    assert fused_law([one, two], targets, units, weights, "confident").exp()[1].tolist() == pytest.approx([0.8, 0.2])
    # weighted, sharpness 1: weights are proportional to the probability of the target, 0.8 : 0.4
    assert fused_law([one, two], targets, units, weights, "weighted", 1.0).exp()[0, 0].item() == pytest.approx((0.8 * 0.8 + 0.4 * 0.4) / 1.2)
    with pytest.raises(ValueError, match="fusion: expected one of"):
        fused_law([one, two], targets, units, weights, "vote")


def test_unit_means_ignore_positions_without_weight():
    got = unit_means(torch.tensor([1.0, 3.0, 100.0, 5.0]), torch.tensor([0, 0, 0, 1]), torch.tensor([1.0, 1.0, 0.0, 2.0]))
    assert got.tolist() == [2.0, 2.0, 2.0, 5.0]


def test_selection_by_hand():
    sure, unsure = torch.tensor([0.9, 0.9, 0.4, 0.4]), torch.tensor([0.8, 0.1, 0.8, 0.1])
    assert selection(sure, unsure, 0.5, 0.5, "both").tolist() == pytest.approx([0.72, 0, 0, 0])
    assert selection(sure, unsure, 0.5, 0.5, "teacher").tolist() == pytest.approx([0.9, 0.9, 0, 0])
    assert selection(sure, unsure, 0.5, 0.5, "student").tolist() == pytest.approx([0.8, 0, 0.8, 0])
    assert teacher_confidence(TEACHER).item() == pytest.approx(0.5)
    assert student_uncertainty(torch.zeros(1, 4)).item() == pytest.approx(1.0)


def test_soft_ranks_and_rank_loss_by_hand():
    assert soft_ranks(torch.tensor([[3.0, 1.0, 2.0]]), 1e-3).tolist()[0] == pytest.approx([0.0, 2.0, 1.0], abs=1e-4)
    teacher, same, turned = torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[9.0, 5.0, 0.0]]), torch.tensor([[1.0, 2.0, 3.0]])
    assert rank_loss(same, teacher, 3, 1e-3).item() == pytest.approx(0.0, abs=1e-4)
    assert rank_loss(turned, teacher, 3, 1e-3).item() == pytest.approx(2.0, abs=1e-4)
    # one swap of three: Spearman's rho = 1 - 6 * 2 / (3 * 8) = 0.5
    assert rank_loss(torch.tensor([[2.0, 3.0, 1.0]]), teacher, 3, 1e-3).item() == pytest.approx(0.5, abs=1e-4)


def test_advantage_by_hand():
    aligned, before = laws([0.6, 0.4]), laws([0.5, 0.5])
    got = advantages(aligned, before, 2.0)
    assert got[0].tolist() == pytest.approx([2 * math.log(1.2), 2 * math.log(0.8)])
    assert advantage_loss(laws([0.5, 0.5]), got).item() == pytest.approx(-(math.log(1.2) + math.log(0.8)), abs=1e-6)
    student = torch.zeros(1, 2, requires_grad=True)
    advantage_loss(student, got).sum().backward()
    assert student.grad[0, 0] < 0 < student.grad[0, 1]  # what the aligned teacher prefers rises


# -- preferences, confidence, contrast, rationale --------------------------------------------------------------------


def test_dpo_by_hand():
    zero = torch.zeros(1)
    assert dpo_loss(zero, zero, zero, zero, 0.1).item() == pytest.approx(math.log(2))
    margin = 0.5 * ((-1 - -2) - (-4 - -3))  # chosen up by 1, rejected down by 1
    expected = -math.log(1 / (1 + math.exp(-margin)))
    given = [torch.tensor([value]) for value in (-1.0, -4.0, -2.0, -3.0)]
    assert dpo_loss(*given, 0.5).item() == pytest.approx(expected)
    assert dpo_loss(*given, 0.5, 0.2).item() == pytest.approx(0.8 * expected + 0.2 * (expected + margin))


def test_sequence_log_probability_by_hand():
    logits = STUDENT[None].expand(1, 3, 3)
    got = sequence_log_probability(logits, torch.tensor([[0, 1, 2]]), torch.tensor([[0.0, 0.0, 1.0]]))
    assert got.item() == pytest.approx(math.log(0.5))
    best, worst, differ = best_and_worst(torch.tensor([[1.0, 3.0, 2.0], [1.0, 1.0, 1.0]]))
    assert (best[0], worst[0]) == (1, 0) and differ.tolist() == [True, False]


def test_confidence_by_hand():
    # right (target 0 of (0.5, 0.3, 0.2)): alpha CE; wrong (target 1): (1 - alpha) (ln 3 - H)
    entropy = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    got = confidence_loss(TEACHER.expand(2, -1), torch.tensor([0, 1]), 0.3)
    assert got.tolist() == pytest.approx([0.3 * math.log(2), 0.7 * (math.log(3) - entropy)], abs=1e-5)
    student = TEACHER.clone().requires_grad_()
    confidence_loss(student, torch.tensor([1]), 0.0).sum().backward()
    assert student.grad[0, 0] > 0  # a wrong first choice is pressed down
    student = TEACHER.clone().requires_grad_()
    confidence_loss(student, torch.tensor([0]), 1.0).sum().backward()
    assert student.grad[0, 0] < 0  # a right one is raised


def test_info_nce_by_hand():
    student, teacher = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    near, half = 1.0, 1 / math.sqrt(2)
    expected = [-math.log(math.exp(near) / (math.exp(near) + math.exp(half))), -math.log(math.exp(half) / (math.exp(0) + math.exp(half)))]
    assert info_nce(student, teacher, 1.0).tolist() == pytest.approx(expected, abs=1e-6)
    assert info_nce(student[:1], teacher[:1], 0.1).item() == pytest.approx(0.0)


def test_margin_contrast_by_hand():
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # 0 and 1 alike, 2 apart: gaps of 1 for anchors 0 and 1
    blind = torch.tensor([[1.0], [1.0], [1.0]])  # the student sees no difference
    assert margin_contrast(blind, teacher, 1.0, 0.01).item() == pytest.approx(1.0)
    assert margin_contrast(teacher, teacher, 1.0, 0.01).item() == pytest.approx(0.0)
    assert margin_contrast(blind, blind, 1.0, 0.01).item() == 0.0


def test_rationale_by_hand():
    assert two_task_loss(torch.tensor(1.0), torch.tensor(4.0), 2.0).item() == pytest.approx(3.0)
    chosen = long_chosen(50, 0.2, 3)
    assert chosen.sum() == 10 and (chosen == long_chosen(50, 0.2, 3)).all() and (chosen != long_chosen(50, 0.2, 4)).any()


# -- spans -----------------------------------------------------------------------------------------------------------


def test_spans_meet_at_common_borders():
    # "abcdef": student ab|c|def, teacher a|bc|de|f -> spans abc (2 : 2) and def (1 : 2)
    assert spans_of([2, 3, 6], [1, 3, 5, 6]) == [Span((0, 2), (0, 2)), Span((2, 3), (2, 4))]
    with pytest.raises(ValueError, match="offsets: expected both sides to end"):
        spans_of([2], [3])


def test_span_laws_by_hand():
    own, theirs = {"a": 0, "b": 1, "ab": 2}, {"b": 0, "a": 1, "c": 2}
    common = common_pieces(own, theirs)
    assert [ids.tolist() for ids in common] == [[0, 1], [1, 0]]
    student, teacher = torch.tensor([[0.5, 0.2, 0.3]]).log(), torch.tensor([[0.3, 0.6, 0.1]]).log()
    # a: teacher 0.6, student 0.5; b: 0.3 and 0.2; the rest: 0.1 (c) and 0.3 (ab); sorted: |0.1 - 0.3|
    expected = 0.6 * math.log(0.6 / 0.5) + 0.3 * math.log(0.3 / 0.2) + 0.1 * math.log(0.1 / 0.3) + 0.5 * 0.2
    assert law_distance(student, teacher, common, 0.5).item() == pytest.approx(expected, abs=1e-5)
    same = common_pieces(own, own)
    assert law_distance(student, laws([0.1, 0.6, 0.3]), same, 9.0).item() == pytest.approx(forward_kl(student, laws([0.1, 0.6, 0.3])).item(), abs=1e-5)


def test_span_probabilities_by_hand():
    both = torch.cat([TEACHER, STUDENT]).log_softmax(-1)
    got = span_log_probabilities(both, torch.tensor([0, 2]), [(0, 2), (1, 2)])
    assert got.tolist() == pytest.approx([math.log(0.5 * 0.5), math.log(0.5)])
    loss = span_likelihood_loss(torch.tensor([math.log(0.25)]), torch.tensor([math.log(0.5)]))
    assert loss.item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(0.5 / 0.75), abs=1e-5)
    assert span_likelihood_loss(torch.zeros(1), torch.zeros(1)).isfinite().all()
