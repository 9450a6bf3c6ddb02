from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpg_core.logs import KEPT_EPISODES, KEPT_ROWS, Logs, Table


class ListModel:
    """What a table should do, on a plain list that never drops a row but forgets which it would have dropped."""

    def __init__(self, bound: int) -> None:
        self.bound, self.values, self.first = bound, [], 0

    def append(self, count: int) -> None:
        for _ in range(count):
            self.values.append(float(len(self.values)))
            self.first = max(self.first, len(self.values) - self.bound)

    def raise_bound(self, bound: int) -> None:
        self.bound = max(self.bound, bound)


def fill(table: Table, count: int) -> None:
    """Append `count` rows (i, [2i, 2i + 1]) where i is the row's number."""
    for _ in range(count):
        table.append(table.total, np.array([2.0 * table.total, 2.0 * table.total + 1]))


def filled(bound: int, count: int) -> Table:
    table = Table({"number": 1, "pair": 2}, bound)
    fill(table, count)
    return table


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(0, 40)),
        st.tuples(st.just("append"), st.integers(900, 2200)),
        st.tuples(st.just("raise_bound"), st.integers(1, 2500)),
        st.tuples(st.just("copy"), st.integers(0, 30)),
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(st.integers(1, 1500), operations, st.integers(-5, 3000), st.integers(-5, 3000))
def test_table_behaves_like_a_list_that_forgets(
    bound: int, steps: list[tuple[str, int]], start: int, stop: int
) -> None:
    table, model = filled(bound, 0), ListModel(bound)
    for name, amount in steps:
        if name == "append":
            fill(table, amount)
            model.append(amount)
        elif name == "raise_bound":
            table.raise_bound(amount)
            model.raise_bound(amount)
        else:
            cut = max(model.first, len(model.values) - amount)
            table = table.copy(cut)
            del model.values[cut:]
        kept = model.values[model.first :]
        assert (table.first, table.total) == (model.first, len(model.values))
        assert table.read("number").tolist() == kept
        assert table.rows().tolist() == [[i, 2 * i, 2 * i + 1] for i in kept]
        part = [i for i in kept if start <= i < stop]
        assert table.read("number", start, stop).tolist() == part
        assert table.read("pair", start, stop).tolist() == [[2 * i, 2 * i + 1] for i in part]
        assert table.gather(np.arange(len(kept)))[:, 0].tolist() == kept[::-1]
        assert table.last("number") == kept[-1] if kept else np.isnan(table.last("number"))


def test_rows_keep_their_numbers_when_older_ones_are_dropped() -> None:
    table = filled(100, 250)
    assert table.first == 150
    assert table.read("number", 170, 173).tolist() == [170, 171, 172]
    assert table.read("number", 0, 152).tolist() == [150, 151]


def test_raising_the_bound_does_not_bring_dropped_rows_back() -> None:
    table = filled(10, 25)
    table.raise_bound(20)
    assert (table.first, table.read("number").tolist()) == (15, list(range(15, 25)))
    fill(table, 12)
    assert table.read("number").tolist() == list(range(17, 37))


def test_gather_takes_ages_in_any_order_and_copies() -> None:
    table = filled(8, 11)
    rows = table.gather(np.array([0, 7, 3, 3]))
    assert rows[:, 0].tolist() == [10, 3, 7, 7]
    rows[:] = -1
    assert table.read("number").tolist() == list(range(3, 11))


def test_what_is_read_is_a_copy() -> None:
    table = filled(8, 5)
    for rows in (table.rows(), table.read("number"), table.read("pair")):
        rows[:] = -1
    assert table.read("number").tolist() == [0, 1, 2, 3, 4]


def test_copy_may_be_cut_and_is_independent() -> None:
    table = filled(10, 15)
    short = table.copy(8)
    assert (short.total, short.read("number").tolist()) == (8, [5, 6, 7])
    fill(short, 1)
    assert short.read("number").tolist() == [5, 6, 7, 8]
    assert table.total == 15
    with pytest.raises(ValueError, match=r"^total must be at least 5, the oldest row kept, got 4$"):
        table.copy(4)


def test_values_must_match_the_columns() -> None:
    table = filled(4, 2)
    for values in ((1.0,), (1.0, 2.0), (1.0, np.zeros(3)), (1.0, np.zeros(2), 3.0)):
        numbers = sum(np.size(value) for value in values)
        with pytest.raises(ValueError, match=rf"^a row must have 3 numbers, got {numbers}$"):
            table.append(*values)
    assert table.rows().tolist() == [[0, 0, 1], [1, 2, 3]], "a refused row leaves no trace"


def test_a_row_takes_numbers_of_any_kind_and_keeps_those_that_are_not_finite() -> None:
    table = Table({"one": 1, "two": 2, "flag": 1}, 4)
    table.append(3, np.array([np.inf, np.nan], np.float32), np.True_)
    table.append(np.float64(0.1), np.array([1, 2]), False)
    np.testing.assert_array_equal(table.rows(), np.array([[3, np.inf, np.nan, 1], [0.1, 1, 2, 0]], np.float32))


def test_memory_is_bounded() -> None:
    table = filled(1000, 0)
    sizes = []
    for _ in range(5):
        fill(table, 1000)
        sizes.append(table._rows.nbytes)
    assert set(sizes) == {1000 * 3 * 4}
    assert filled(KEPT_ROWS, 10)._rows.nbytes < 20_000


def test_a_step_costs_what_the_documentation_says() -> None:
    logs = Logs(3, 1)
    bytes_per_row = {name: table.rows().itemsize * table._rows.shape[1] for name, table in logs.tables().items()}
    assert bytes_per_row == {"steps": 48, "updates": 36, "episodes": 72}
    assert [table.bound for table in logs.tables().values()] == [KEPT_ROWS, KEPT_ROWS, KEPT_EPISODES]


def test_logs_copy_is_independent_and_may_be_cut() -> None:
    logs = Logs(1, 1)
    for number in range(4):
        logs.updates.append(number, *range(8))
    cut = logs.copy((0, 2, 0))
    assert (cut.updates.read("env_step").tolist(), logs.copy().updates.total) == ([0, 1], 4)
    cut.updates.append(9, *range(8))
    assert logs.updates.read("env_step").tolist() == [0, 1, 2, 3]
