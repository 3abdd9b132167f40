"""The tests that hold what papers say of the platform itself, and of whom a sentence is that nobody filled in."""

from __future__ import annotations

_TRAINING, _POLICIES = "tests/datasites/training", "tests/policies"
LATTICE = f"{_TRAINING}/test_noise_over_the_ranges.py::test_noised_sums_are_finite_and_lie_on_the_lattice"
CHACHA = f"{_TRAINING}/test_device_noise.py::test_the_keystream_is_that_of_chacha20"
SAMPLING = f"{_TRAINING}/test_sampler.py::test_every_unit_is_drawn_at_the_sample_rate"
ALLOCATION = f"{_TRAINING}/test_sampler.py::test_every_unit_is_in_exactly_one_step_of_each_epoch"
CLIPPING = f"{_TRAINING}/test_clipping.py::test_the_sum_is_that_of_each_gradient_clipped_alone"
SHAPE = f"{_TRAINING}/test_local_round.py::test_with_privacy_a_step_is_the_clipped_sum_over_the_public_batch"
EMPTY = f"{_TRAINING}/test_local_round.py::test_steps_on_empty_batches_are_taken_noised_and_counted"
PATIENTS = f"{_TRAINING}/test_local_round.py::test_several_pictures_of_a_patient_are_averaged_before_they_are_clipped"
FRESH = f"{_TRAINING}/test_local_round.py::test_two_runs_of_the_same_round_share_no_noise_whatever_seeds_are_set"
AUDIT = f"{_TRAINING}/test_privacy_audit.py::test_large_faults_of_the_noise_show_on_the_canaries"
DISTRIBUTIONS = (
    f"{_POLICIES}/budget/test_pld.py::test_it_agrees_with_googles_composition_and_lies_between_the_other_accountants"
)
NEIGHBOURS = f"{_POLICIES}/budget/test_pld.py::test_adding_a_unit_is_counted_as_well_as_removing_one"
MEMBERSHIP = (
    f"{_POLICIES}/budget/test_membership.py::"
    "test_sampled_steps_are_as_the_best_test_on_the_losses_finds_and_hardly_less"
)
CHARGED = f"{_POLICIES}/ledger/test_ledger.py::test_a_round_is_charged_when_it_starts_and_only_then"
RENAMED = f"{_POLICIES}/ledger/test_ledger.py::test_a_renamed_copy_shares_the_budget_and_another_dataset_does_not"
ENVELOPE = f"{_POLICIES}/ledger/test_ledger.py::test_rounds_together_never_exceed_the_envelope"
OUTPUT = f"{_POLICIES}/contracts/test_contracts.py::test_exactly_the_declared_arrays_are_read"
VISIBLE = "tests/datasites/runs/test_visible_ends.py::test_all_that_shows_a_runs_end_is_written_at_a_time_of_the_grid"
CLOSED = "tests/datasites/runs/test_sandbox.py::test_what_is_printed_raised_or_told_reaches_nobody"
MOCK = (
    "tests/datasites/assets/test_mock_modalities.py::"
    "test_a_mock_depends_on_the_schema_the_count_and_the_seed_and_nothing_else"
)
BACKING = (
    "tests/researcher/papers/test_backing.py::test_the_receipts_of_the_hospitals_that_trained_it_stand_behind_a_model"
)
_ALLOCATED = f"{_POLICIES}/budget/test_random_allocation.py"
INSTEAD_WITH_ALLOCATION = {
    DISTRIBUTIONS: f"{_ALLOCATED}::test_composed_epochs_agree_with_trials",
    NEIGHBOURS: f"{_ALLOCATED}::test_an_epoch_of_two_steps_is_bounded_from_above_and_closely",
    MEMBERSHIP: f"{_ALLOCATED}::test_odds_filter_and_what_is_left_know_it",
}
"""Test of Poisson sampling → the one that holds the same sentence of a study with random allocation."""
NOT_SAID = "words.json: the researcher left this empty"
NO_EVALUATION = "evaluation.json: none was given"
NO_EXTRACT = "no ledger extract was given"
NO_BILL = "receipt, signed: /receipt/versions names no sbom"
