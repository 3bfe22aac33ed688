"""Charts as rectangles."""

from threadmill_gateway.dashboard.charts import HEIGHT, WIDTH, Part, bars


def test_the_highest_bar_fills_the_height_and_bars_fill_the_width():
    chart = bars([[Part(10, "a", "")]] * 9 + [[Part(5, "a", "")]], ["first", *[""] * 8, "last"])
    first, last = chart.rects[0], chart.rects[-1]
    assert chart.highest == 10
    assert [(rect.y, rect.height) for rect in (first, last)] == [(0, HEIGHT), (HEIGHT / 2, HEIGHT / 2)]
    assert 0 < first.x < first.x + first.width < WIDTH / 10
    assert WIDTH * 0.9 < last.x < last.x + last.width < WIDTH
    assert [(label.x, label.anchor) for label in chart.labels] == [(first.x, "start"), (WIDTH, "end")]


def test_few_bars_are_not_wide():
    [rect] = bars([[Part(10, "a", "")]], ["only"]).rects
    assert rect.width < WIDTH / 8


def test_the_parts_of_a_bar_stand_on_each_other():
    [low, high] = bars([[Part(3, "a", "three"), Part(0, "b", "none"), Part(1, "c", "one")]], [""]).rects
    assert (low.kind, low.y + low.height) == ("a", HEIGHT)
    assert (high.kind, high.y + high.height, high.y) == ("c", low.y, 0)


def test_a_small_part_can_be_seen():
    assert min(rect.height for rect in bars([[Part(1, "a", "")], [Part(10**6, "a", "")]], ["", ""]).rects) == 1


def test_nothing_is_no_chart():
    assert bars([], []).rects == ()
    assert bars([[Part(0, "a", "")]], ["x"]).rects == ()
