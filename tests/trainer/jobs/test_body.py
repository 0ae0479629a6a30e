"""What a job asks for is refused before it is queued, with its reason; its rows are left to the worker."""

import pytest

from artifacts.jobs.records import BODY, Checked
from artifacts.store.store import Store
from tests.trainer.job_bodies import NEED_ROWS, REFUSALS, body, folder_of
from tests.trainer.small import NAME
from trainer.config import TrainConfig
from trainer.jobs.body import check_body, read_body

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("case", sorted(REFUSALS.keys() - set(NEED_ROWS)))
def test_wrong_body_is_refused_before_it_is_queued(empty: Store, case: str) -> None:
    """The server is told the same as the worker would be."""
    content, error, detail, pointers = REFUSALS[case]

    refused = check_body(folder_of(empty, content)).refusal

    assert refused is not None
    assert (refused.outcome, refused.error) == ("refused", error)
    assert detail in refused.detail
    assert [fault.pointer for fault in refused.faults] == pointers
    assert refused.num_faults == len(pointers)


@pytest.mark.parametrize("case", NEED_ROWS)
def test_rows_are_not_looked_at_before_the_body_is_queued(empty: Store, case: str) -> None:
    """A large body has many rows, and whoever asks waits; they are the worker's."""
    folder = folder_of(empty, REFUSALS[case][0])

    assert check_body(folder) == Checked(NAME, "GRU")
    assert {path.name for path in folder.iterdir()} == {BODY}


def test_check_says_what_the_server_has_to_know(empty: Store) -> None:
    """The name, the kind, and what is to happen with version and body."""
    checked = check_body(folder_of(empty, body(promote="never", keep_data=True)))

    assert checked == Checked(NAME, "GRU", "never", True)
    assert check_body(folder_of(empty, body())) == Checked(NAME, "GRU", "always", False)


@pytest.mark.parametrize("config", [5, "fast", [1], True])
def test_settings_that_are_no_object_are_refused_with_their_place(empty: Store, config: object) -> None:
    """The bytes of the settings are only looked at once the kind is known, and then by their own pointer."""
    refused = check_body(folder_of(empty, body(config=config))).refusal

    assert refused is not None
    assert (refused.error, [fault.pointer for fault in refused.faults]) == ("InvalidInput", ["/config"])


@pytest.mark.parametrize("changes", [{}, {"config": None}, {"config": {}}])
def test_settings_that_are_left_out_are_the_kinds_own(empty: Store, changes: dict[str, object]) -> None:
    """No settings, null and an empty object are the same: the defaults."""
    content = {field: value for field, value in body().items() if field != "config"} | changes

    found, config = read_body(empty, folder_of(empty, content))

    assert (found.name, config) == (NAME, TrainConfig())


def test_kind_without_categories_has_no_corrections(empty: Store) -> None:
    """A SimpleNN is refused with the pointer of the field."""
    empty.create_model("numbers", "SimpleNN")
    wanted = body(
        name="numbers", neural_network_type="SimpleNN", include_feedback=True, config=None,
        training_data=[{"features": [1.0], "target": 2.0}],
    )  # fmt: skip

    refused = check_body(folder_of(empty, wanted)).refusal

    assert refused is not None
    assert [fault.pointer for fault in refused.faults] == ["/include_feedback"]
