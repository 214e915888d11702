"""What must not be lost when the house is rebuilt: each promise, and the tests that hold it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PROMISES: dict[str, tuple[str, ...]] = {
    "intent is written before it is acted on": ("test_intent_is_written_before_it_is_acted_on",),
    "the ledger never leads the bucket": (
        "test_ledger_never_leads_the_bucket",
        "test_every_acknowledged_commit_was_written_and_synced_before",
    ),
    "a stream that ended is told from one that broke off": (
        "test_leaving_the_context_without_finish_is_a_failure",
        "test_leaving_the_context_after_finish_is_the_end",
    ),
    "CRC-32 of each part and of the whole": (
        "test_another_checksum_in_the_answer_is_never_stored",
        "test_only_checksums_over_the_whole_object_count",
    ),
    "nothing is replaced unless it was asked for": (
        "test_other_bytes_under_the_key_are_a_conflict_and_stay",
        "test_overwrite_never_replaces_another_recording",
    ),
    "bytes are compared before an object counts as already stored": (
        "test_same_bytes_under_the_key_count_as_already_stored",
        "test_object_without_a_checksum_is_read_back",
    ),
    "recovery comes before the run, keys begun are swept": (
        "test_upload_that_did_not_become_the_object_is_aborted",
        "test_upload_whose_id_was_lost_is_found_and_aborted",
        "test_sweep_aborts_uploads_of_exactly_this_key",
    ),
    "keys nobody is certain of are swept at the end": ("test_uncertain_keys_are_swept_at_the_end",),
    "aborting is shielded and limited in time": (
        "test_aborting_does_not_outlast_its_deadline",
        "test_abort_under_way_hurries_when_it_is_cancelled",
    ),
    "one refresh of the token at a time, also across processes": (
        "test_a_hundred_workers_at_expiry_make_one_refresh",
        "test_two_processes_make_one_refresh_per_expiry_under_rotation",
        "test_stores_that_contend_make_one_request_and_two_versions_per_expiry",
    ),
    "a new token is saved before it is used": (
        "test_a_refresh_cancelled_at_any_turn_loses_no_token_and_frees_the_lock",
        "test_the_newest_refresh_token_is_never_lost_whatever_happens",
        "test_refreshed_token_is_saved_also_when_the_ledger_ends_the_run",
    ),
    "the token goes to the API alone": ("test_bearer_is_the_token_and_nothing_prints_it",),
    "no redirect is followed, addresses are checked": (
        "test_no_client_goes_where_a_redirect_points",
        "test_name_on_the_list_that_leads_into_this_machine_is_refused",
    ),
    "what was put out is searched for secrets after each test": ("test_a_leak_into_any_output_fails_the_test",),
    "one retry an operation, the SDK makes none": (
        "test_connection_cut_in_mid_body_is_one_attempt_each",
        "test_kept_connection_that_closes_is_one_attempt_of_ours",
    ),
    "one gate a server": (
        "test_a_closed_gate_stops_everybody",
        "test_ten_minutes_of_429_cost_one_request_a_gate_period",
    ),
    "the pace holds for every request, replays as well": ("test_replays_of_an_auth_flow_take_turns_too",),
    "the queue is bounded": ("test_lister_waits_while_the_queue_is_full",),
    "captures is asked ahead, not too far": (
        "test_the_last_batch_is_spread_over_all_who_are_idle",
        "test_slow_source_costs_no_work_and_no_request_ahead_of_its_bytes",
    ),
    "what is purged first comes first, what failed comes last": (
        "test_what_is_purged_first_is_handed_out_first",
        "test_lasting_failures_do_not_keep_later_runs_from_new_work",
    ),
    "a task is handed out once a run": (
        "test_a_task_on_two_pages_is_handed_out_once",
        "test_work_by_age_is_handed_out_once",
    ),
    "memory is bounded, whatever the size and the number": (
        "test_memory_does_not_follow_the_size_of_a_recording",
        "test_memory_does_not_follow_the_number_of_tasks",
        "test_cancelled_while_the_pool_is_full_takes_no_room",
    ),
    "cancelling drains, waits, aborts": (
        "test_drain_lets_what_is_in_flight_finish_and_begins_nothing",
        "test_abort_breaks_off_what_is_in_flight_and_leaves_nothing_open",
        "test_cancelled_from_outside_at_any_moment_the_next_run_finishes",
    ),
    "exit codes are the summary's": ("test_the_exit_code_is_the_summarys_and_its_meaning_is_said",),
    "commits are shared, a cancelled one is known": (
        "test_a_thousand_callers_share_a_few_commits",
        "test_a_native_cancellation_of_the_leader_keeps_the_thread_alone",
    ),
    "importing costs little": ("test_importing_the_package_imports_nothing_heavy", "test_help_imports_nothing_heavy"),
    "workflows of the release before go on": (
        "test_a_history_of_the_release_before_goes_on",
        "test_a_list_that_the_first_release_began_ends_where_it_ended",
        "test_a_worker_of_the_release_before_is_understood",
        "test_a_worker_of_the_release_before_cannot_call_anything_gone",
    ),
    "a ledger of the release before goes on": (
        "test_a_released_ledger_keeps_everything",
        "test_a_released_ledger_goes_on",
    ),
}


@cache
def names_of_tests() -> frozenset[str]:
    """Return the names of all test functions."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    trees = (ast.parse(path.read_text("utf-8")) for path in TESTS.rglob("*.py"))
    return frozenset(each.name for tree in trees for each in ast.walk(tree) if isinstance(each, kinds))


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_its_tests(promise: str) -> None:
    """A test that is renamed is renamed here, too; one that is removed leaves a promise alone."""
    assert set(PROMISES[promise]) <= names_of_tests()
