import pytest
import torch

from rtmo_plugin.ops.geometry import make_priors
from rtmo_plugin.ops.matching import find_candidates, match_dynamic_k


def find(boxes, centers, radius=0.5, is_person=None):
    """Find the candidates among nine priors, at 4.5, 14.5 and 24.5."""
    boxes, centers = torch.tensor([boxes], dtype=torch.float32), torch.tensor([centers], dtype=torch.float32)
    is_person = torch.ones(boxes.shape[:2], dtype=torch.bool) if is_person is None else torch.tensor([is_person])
    is_candidate, is_central = find_candidates(make_priors([(3, 3)], [10]), boxes, centers, is_person, radius)
    return is_candidate[0].nonzero()[:, 0].tolist(), [person.nonzero()[:, 0].tolist() for person in is_central[0].T]


def test_candidates_are_inside_a_box_or_a_square():
    # the box holds the priors 0, 1, 3, 4; the square, 5 pixels around (24, 24), the prior 8
    assert find([[0, 0, 20, 20]], [[24, 24]]) == ([0, 1, 3, 4, 8], [[]])
    assert find([[0, 0, 20, 20]], [[10, 10]]) == ([0, 1, 3, 4], [[4]])
    assert find([[0, 0, 20, 20]], [[14, 14]], radius=1.5) == ([0, 1, 2, 3, 4, 5, 6, 7, 8], [[0, 1, 3, 4]])


def test_borders_of_box_and_square_are_outside():
    assert find([[4.5, 4.5, 14.5, 24.5]], [[100, 100]]) == ([], [[]])
    assert find([[100, 100, 110, 110]], [[9.5, 14.5]]) == ([], [[]])


def test_each_person_has_a_box_and_square_of_its_own():
    boxes, centers = [[0, 0, 10, 10], [20, 20, 30, 30]], [[24, 24], [4, 4]]
    assert find(boxes, centers) == ([0, 8], [[], []])
    assert find(boxes, centers[::-1]) == ([0, 8], [[0], [8]])


def test_padding_has_no_candidates():
    boxes, centers = [[0, 0, 10, 10], [0, 0, 30, 30]], [[4, 4], [14, 14]]
    assert find(boxes, centers, is_person=[True, False]) == ([0], [[0], []])


def match(costs, quality, is_candidate=None, is_person=None, top_k=10):
    """Match the rows (priors) with the columns (people) of one image."""
    costs, quality = torch.tensor([costs], dtype=torch.float32), torch.tensor([quality], dtype=torch.float32)
    is_candidate = [True] * costs.shape[1] if is_candidate is None else is_candidate
    is_person = [True] * costs.shape[2] if is_person is None else is_person
    return match_dynamic_k(costs, quality, torch.tensor([is_candidate]), torch.tensor([is_person]), top_k)[0].tolist()


@pytest.mark.parametrize(
    ("quality", "person"),
    [
        ([0.1, 0.1, 0.1, 0.1], [-1, 0, -1, -1]),  # the sum is below one: one prior all the same
        ([0.5, 0.5, 0.5, 0.4], [-1, 0, -1, -1]),
        ([0.5, 0.5, 0.5, 0.6], [-1, 0, -1, 0]),
        ([1.0, 1.0, 1.0, 0.9], [0, 0, -1, 0]),
        ([1.0, 1.0, 1.0, 1.0], [0, 0, 0, 0]),
    ],
)
def test_number_of_priors_is_the_sum_of_qualities(quality, person):
    assert match([[3], [1], [4], [2]], [[q] for q in quality]) == person


def test_only_the_best_qualities_are_summed():
    assert match([[3], [1], [4], [2]], [[1.0]] * 4, top_k=2) == [-1, 0, -1, 0]


def test_prior_of_two_people_goes_to_the_one_for_whom_it_is_cheapest():
    assert match([[1, 2], [5, 6]], [[0.5, 0.5], [0, 0]]) == [0, -1]
    # even if that is a third person, who did not ask for it
    assert match([[3, 4, 2], [9, 9, 1]], [[0.5] * 3, [0.4] * 3]) == [2, 2]


def test_priors_outside_are_neither_chosen_nor_counted():
    assert match([[1], [2], [3]], [[1.0], [1.0], [1.0]], is_candidate=[False, True, True]) == [-1, 0, 0]
    assert match([[1], [2]], [[1.0], [1.0]], is_candidate=[False, False]) == [-1, -1]


def test_fewer_candidates_than_the_quality_asks_for():
    assert match([[1], [2], [3]], [[1.0]] * 3, is_candidate=[True, False, False]) == [0, -1, -1]


def test_padding_gets_nothing():
    assert match([[1, 0], [2, 0]], [[1, 1], [1, 1]], is_person=[True, False]) == [0, 0]
    assert match([[1, 0], [2, 0]], [[1, 1], [1, 1]], is_person=[False, False]) == [-1, -1]


def test_nobody():
    shape = (2, 5, 0)
    person = match_dynamic_k(
        torch.zeros(shape), torch.zeros(shape), torch.ones(2, 5).bool(), torch.ones(2, 0).bool(), 10
    )
    assert person.tolist() == [[-1] * 5] * 2


def make_random(num_images=3, num_priors=40, num_people=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.rand(num_images, num_priors, num_people, generator=generator)
    quality = torch.rand(num_images, num_priors, num_people, generator=generator) * 0.6
    is_candidate = torch.rand(num_images, num_priors, generator=generator) > 0.4
    is_person = torch.arange(num_people) < torch.tensor([num_people, 2, 0])[:num_images, None]
    return costs, quality, is_candidate, is_person


def match_by_loops(costs, quality, is_candidate, is_person, top_k):
    """Do the same one image and one person after the other, as SimOTA is usually told."""
    result = torch.full(costs.shape[:2], -1)
    for image in range(len(costs)):
        candidates, people = is_candidate[image].nonzero()[:, 0], is_person[image].nonzero()[:, 0]
        claims = {int(prior): [] for prior in candidates}
        for g in people:
            best = quality[image, candidates, g].sort(descending=True).values[:top_k]
            k = max(1, int(best.sum()))
            for index in costs[image, candidates, g].argsort()[:k]:
                claims[int(candidates[index])].append(int(g))
        for prior, claimants in claims.items():
            if claimants:
                everyone = [int(g) for g in people] if len(claimants) > 1 else claimants
                result[image, prior] = min(everyone, key=lambda g: costs[image, prior, g])
    return result


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_k", [1, 10, 100])
def test_equals_plain_loops(seed, top_k):
    arguments = make_random(seed=seed)
    person = match_dynamic_k(*arguments, top_k)
    assert (person >= 0).any()
    assert torch.equal(person, match_by_loops(*arguments, top_k))


def test_batch_is_its_images_one_by_one():
    arguments = make_random()
    together = match_dynamic_k(*arguments, 10)
    for image in range(3):
        assert torch.equal(match_dynamic_k(*(a[image : image + 1] for a in arguments), 10)[0], together[image])


def test_order_of_people_does_not_matter():
    costs, quality, is_candidate, _ = make_random()
    is_person = torch.ones(3, 6, dtype=torch.bool)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    person = match_dynamic_k(costs, quality, is_candidate, is_person, 10)
    permuted = match_dynamic_k(costs[..., order], quality[..., order], is_candidate, is_person, 10)
    assert torch.equal(torch.where(permuted >= 0, order[permuted.clamp(min=0)], -1), person)
