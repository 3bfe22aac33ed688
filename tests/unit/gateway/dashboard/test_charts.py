"""Charts as rectangles."""

from threadmill_gateway.dashboard.charts import HEIGHT, WIDTH, Part, bars


def test_the_highest_bar_fills_the_height_and_bars_fill_the_width():
    chart = bars([[Part(10, "a", "")], [Part(5, "a", "")]], ["first", "last"])
    assert chart.highest == 10
    assert [(rect.y, rect.height) for rect in chart.rects] == [(0, HEIGHT), (HEIGHT / 2, HEIGHT / 2)]
    assert 0 < chart.rects[0].x < chart.rects[0].x + chart.rects[0].width < WIDTH / 2 < chart.rects[1].x
    assert [(label.x, label.anchor) for label in chart.labels] == [(0, "start"), (WIDTH, "end")]


def test_the_parts_of_a_bar_stand_on_each_other():
    [low, high] = bars([[Part(3, "a", "three"), Part(0, "b", "none"), Part(1, "c", "one")]], [""]).rects
    assert (low.kind, low.y + low.height) == ("a", HEIGHT)
    assert (high.kind, high.y + high.height, high.y) == ("c", low.y, 0)


def test_a_small_part_can_be_seen():
    assert min(rect.height for rect in bars([[Part(1, "a", "")], [Part(10**6, "a", "")]], ["", ""]).rects) == 1


def test_nothing_is_no_chart():
    assert bars([], []).rects == ()
    assert bars([[Part(0, "a", "")]], ["x"]).rects == ()
