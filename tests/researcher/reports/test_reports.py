"""What a finished study writes: result.json, plots and a page that needs nothing but itself."""

import base64
import dataclasses
import html.parser
import json
import math
import os
import re
import warnings

import numpy as np
import pytest
from PIL import Image
from support.own_models import own_graph, own_spec

from policies.answers.odds import at_each_rate
from policies.budget.accountant import plan_spend
from policies.budget.membership import membership_bounds
from policies.budget.steps import GaussianSteps
from policies.errors import ConfigError, FederationError
from policies.plans.releases import EvaluationPlan, ReleaseSpec
from policies.plans.training import ModelSpec, PrivacySpec, TrainingPlan
from researcher.cli.program import main
from researcher.counts.releases import Released
from researcher.counts.saved import SavedCounts
from researcher.evaluation.evaluation import Evaluation
from researcher.reports.participation import told_canaries
from researcher.studies.history import History, PrivacySpent, RoundRecord
from researcher.studies.taking_part.canary_end import CanaryEnd

PYPARSING = r"'\w+' deprecated - use"  # matplotlib 3.9 calls pyparsing by its old names
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", PYPARSING, DeprecationWarning)
    import matplotlib as mpl

    from researcher.reports import (
        StudyResult,
        drawing,
        plots,
        read_result,
        wording,
        write_page,
        write_report,
        write_result,
    )

pytestmark = pytest.mark.filterwarnings(f"ignore:{PYPARSING}:DeprecationWarning")

HOSTILE = "<script>alert('x')</script>"
SECONDS = {"queue": 1.0, "transfer": 2.0, "train": 5.0, "aggregate": 0.5, "total": 10.0}
PLAN = TrainingPlan(
    study="cells",
    dataset="smears",
    model=ModelSpec("small_cnn", (32, 32, 3), 2, {"width": 16}),
    rounds=3,
    steps_per_round=4,
    sample_rate=0.125,
    learning_rate=0.5,
    privacy=PrivacySpec(1.5, 1.0, 1e-5),
)


def record(number: int, **changes) -> RoundRecord:
    values = {
        "round": number,
        "datasites": ("north", "south"),
        "test_accuracy": 0.5 + 0.125 * number,
        "macro_f1": 0.4 + 0.125 * number,
        "confusion": ((6, 2), (1, 3)),
        "seconds": SECONDS,
        "bytes_up": 1000,
        "bytes_down": 1000 * number,
        "epsilon": {"north": 0.5 * number, "south": 0.75 * number},
    }
    return RoundRecord(**(values | changes))


def study(**changes) -> StudyResult:
    values = {
        "plan": PLAN,
        "class_names": ("red", "white"),
        "parameters": 12345,
        "public_sizes": {"north": 100, "south": 300},
        "privacy": {"north": PrivacySpent(1.5, 1e-5, "picture"), "south": PrivacySpent(2.25, 1e-5, "picture")},
        "history": History([record(1), record(2), record(3)]),
        "local_only": {
            "north": Evaluation(0.625, 0.5, (0.5, 0.5), ((4, 4), (2, 2))),
            "south": Evaluation(0.75, 0.7, (0.7, 0.7), ((6, 2), (1, 3))),
        },
    }
    return StudyResult(**(values | changes))


def renamed(old: StudyResult, before: str, after: str) -> StudyResult:
    def keys(mapping):
        return {after if name == before else name: value for name, value in mapping.items()}

    records = [
        dataclasses.replace(r, datasites=tuple(keys(dict.fromkeys(r.datasites))), epsilon=keys(r.epsilon))
        for r in old.rounds
    ]
    return dataclasses.replace(
        old,
        history=History(records),
        public_sizes=keys(old.public_sizes),
        privacy=keys(old.privacy),
        local_only=keys(old.local_only),
    )


class Tags(html.parser.HTMLParser):
    """Collects tags with attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += f"{data} "


@pytest.fixture
def page_of(tmp_path):
    """Writes the page of a result, with one picture of few bytes in place of the plots."""
    plot = tmp_path / "accuracy.png"
    plot.write_bytes(b"few bytes")

    def write(result: StudyResult) -> str:
        return write_page(tmp_path / "report.html", result, {"accuracy": plot}).read_text()

    return write


# --- result.json -----------------------------------------------------------------------------------------------------


def test_result_json_holds_the_agreed_keys_and_values(tmp_path):
    values = json.loads(write_result(tmp_path / "result.json", study()).read_text())
    agreed = {
        "datasites": ["north", "south"],
        "rounds": 3,
        "privacy": {
            "north": {"epsilon": 1.5, "delta": 1e-5, "unit": "picture"},
            "south": {"epsilon": 2.25, "delta": 1e-5, "unit": "picture"},
        },
        "test_accuracy": [0.625, 0.75, 0.875],
        "macro_f1": [0.525, 0.65, 0.775],
        "local_only_accuracy": {"north": 0.625, "south": 0.75},
        "round_seconds": [SECONDS] * 3,
        "bytes_per_round": 3000,  # 1000 up, and 1000, 2000, 3000 down
        "model": "small_cnn",
        "parameters": 12345,
    }
    extra = {"took_part", "class_names", "confusion", "local_only_macro_f1", "privacy_total", "versions", "plan"}
    extra |= {"hospitals", "public_sizes", "history", "local_only", "finished"}
    assert {key: values[key] for key in agreed} == agreed
    assert set(values) == set(agreed) | extra
    assert TrainingPlan.from_json(json.dumps(values["plan"])) == PLAN


def test_a_result_is_read_back_as_it_was(tmp_path):
    lacking = Evaluation(0.5, 0.5, (1.0, math.nan), ((4, 0), (0, 0)))
    whole = study(finished="4 May 2027", versions={"north": {"torch": "2"}}, local_only={"north": lacking})
    write_result(tmp_path / "result.json", whole)
    again = read_result(tmp_path / "result.json")
    assert again.to_dict() == whole.to_dict()
    assert (again.plan, again.history) == (whole.plan, whole.history)
    (tmp_path / "result.json").write_text('{"datasites": []}')
    with pytest.raises(ConfigError, match=r"result\.json is not the result of a study"):
        read_result(tmp_path / "result.json")


def test_a_result_tells_where_training_was_not_private(tmp_path):
    open_study = study(privacy={"north": None, "south": PrivacySpent(2.0, 1e-5, "picture")})
    values = json.loads(write_result(tmp_path / "result.json", open_study).read_text())
    assert values["privacy"]["north"] is None
    assert open_study.not_private == ("north",)


@pytest.mark.parametrize(
    "changes",
    [
        {"history": History()},
        {"privacy": {"north": None}},
        {"local_only": {"east": Evaluation(0.5, 0.5, (0.5,), ((1,),))}},
        {"class_names": ("red", "white", "platelet")},
    ],
)
def test_a_result_that_does_not_fit_together_is_refused(changes):
    with pytest.raises(FederationError):
        study(**changes)


# --- plots -----------------------------------------------------------------------------------------------------------


def test_the_plots_are_png_files_of_the_announced_size(tmp_path):
    written = plots.write_plots(tmp_path, study())
    assert sorted(written) == ["accuracy", "confusion", "macro_f1", "privacy"]
    for path in written.values():
        with Image.open(path) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (1280, 840))
            assert len(picture.convert("L").getcolors()) > 20


def test_a_confusion_matrix_of_many_classes_is_larger(tmp_path):
    names = tuple(f"class {k}" for k in range(12))
    matrix = [[int(i == j) for j in range(12)] for i in range(12)]
    many = study(class_names=names, history=History([record(1, confusion=matrix)]))
    with Image.open(plots.write_plots(tmp_path, many)["confusion"]) as picture:
        assert picture.size == (1920, 1600)


def on_a_dark_page(colour):
    """The colour after a report's `invert(1) hue-rotate(180deg)` and its screen over a dark page."""
    turned = np.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])
    light = np.clip(turned @ (1 - np.array(mpl.colors.to_rgb(colour))), 0, 1)
    return 1 - (1 - light) * (1 - np.array(mpl.colors.to_rgb("#11151a")))


@pytest.mark.parametrize("seen", [mpl.colors.to_rgb, on_a_dark_page])
@pytest.mark.parametrize("percent", [*range(1, 101, 3), 48, 50, 51])
def test_shares_and_counts_of_a_confusion_matrix_stand_out_from_their_cells(percent, seen):
    """At least 3.9 between their luminances, as WCAG 2 counts contrast, on white and turned over on a dark page."""

    def luminance(colour):
        parts = np.array(seen(colour))
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)

    figure = plots.confusion(np.array([[percent, 100 - percent], [0, 1]]), ("cat", "dog"))
    cell = luminance(plots.BLUES(percent / 100)[:3])
    told = [text for text in figure.axes[0].texts if text.get_position()[0] == 0 and text.get_position()[1] < 0.5]
    assert [text.get_text() for text in told] == [f"{percent}%", str(percent)]
    for text in told:
        darker, lighter = sorted((cell, luminance(text.get_color())))
        assert (lighter + 0.05) / (darker + 0.05) > 3.9


def test_a_study_without_privacy_has_no_privacy_plot(tmp_path):
    bare = study(privacy={"north": None, "south": None}, history=History([record(1, epsilon={})]))
    assert "privacy" not in plots.write_plots(tmp_path, bare)
    assert not (tmp_path / "privacy.png").exists()


def test_the_score_plot_shows_every_round_and_names_every_hospital():
    figure = plots.scores("Score", [0.25, 0.5, 0.75], {"north": 0.375}, {"north": "#117733"})
    axes = figure.axes[0]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    assert ([1, 2, 3], [0.25, 0.5, 0.75]) in lines
    assert any(y == [0.375, 0.375] for _, y in lines)
    assert {text.get_text() for text in axes.texts} == {"All together  0.750", "north  0.375"}


def test_too_many_hospitals_to_label_show_the_best_and_the_worst():
    local_only = {f"h{k:02d}": 0.3 + 0.01 * k for k in range(20)}
    figure = plots.scores("Score", [0.5], local_only, drawing.colours(list(local_only)))
    assert {text.get_text() for text in figure.axes[0].texts} == {"All together  0.500", "h00  0.300", "h19  0.490"}


def test_hospitals_with_the_same_epsilon_share_a_line():
    figure = plots.privacy({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [0.5, 1.0]}, dict.fromkeys("abc", "#117733"))
    assert {text.get_text() for text in figure.axes[0].texts} == {"2 hospitals  2.00", "c  1.00"}


def test_a_round_that_a_hospital_sat_out_keeps_its_epsilon():
    history = History([record(1), record(2, datasites=("south",), epsilon={"south": 1.5}), record(3)])
    assert plots.epsilon_curves(study(history=history)) == {"north": [0.5, 0.5, 1.5], "south": [0.75, 1.5, 2.25]}


def test_dollars_and_backslashes_in_names_are_only_text(tmp_path):
    odd = study(class_names=(r"$\frac", "$x^{"))
    assert plots.write_plots(tmp_path, renamed(odd, "north", "$north_{"))["confusion"].exists()


def test_names_that_no_font_here_can_draw_are_numbered_and_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(drawing, "HAN_FONTS", ())
    chinese = study(class_names=("良性", "malignant"))
    with mpl.rc_context(drawing.style()):
        figure = plots.confusion(np.array(chinese.final.confusion), chinese.class_names)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["class 1", "malignant"]
    page = write_report(tmp_path, chinese)[-1].read_text()  # matplotlib's warning of a missing glyph would be an error
    assert "the plots number them: class 1 is 良性." in re.sub(r"\s+", " ", page)
    assert "(良性, malignant)" in page
    assert drawing.unwritten(("Würzburg", "café")) == {}


def test_drawing_leaves_matplotlibs_settings_alone(tmp_path):
    before = dict(mpl.rcParams)
    plots.write_plots(tmp_path, study())
    assert dict(mpl.rcParams) == before


def test_equal_results_give_equal_bytes(tmp_path):
    first = plots.write_plots(tmp_path / "1", study())
    second = plots.write_plots(tmp_path / "2", study())
    assert all(first[name].read_bytes() == second[name].read_bytes() for name in first)


@pytest.mark.parametrize(
    ("positions", "placed"),
    [
        ([0.5], [0.5]),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.6, 0.5, 0.55], [0.65, 0.45, 0.55]),
        ([0.0, 0.0, 0.9], [0.0, 0.1, 0.9]),
        ([1.0, 1.0], [0.9, 1.0]),
    ],
)
def test_labels_that_touch_are_moved_apart(positions, placed):
    assert drawing.spread(positions, 0.1, 0.0, 1.0) == pytest.approx(placed)


# --- the page --------------------------------------------------------------------------------------------------------


def test_a_report_is_result_plots_and_page(tmp_path):
    paths = write_report(tmp_path / "out", study())
    assert {path.name for path in paths} == {
        "result.json",
        "accuracy.png",
        "macro_f1.png",
        "confusion.png",
        "privacy.png",
        "report.html",
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in paths}


def test_the_page_asks_nobody_for_anything(page_of):
    page = page_of(study(versions={"north": {"torch": "2"}}))
    assert not re.search(r"https?:|//[a-z]", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    tags = Tags(page)
    assert tags.open == []
    assert "script" not in {tag for tag, _ in tags.tags}
    for tag, attributes in tags.tags:
        assert not any(name.startswith("on") or name == "href" for name in attributes), tag
        assert attributes.get("src", "data:").startswith("data:")
    assert ("meta", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in {
        (tag, attributes.get("content")) for tag, attributes in tags.tags
    }


def test_a_datasite_named_like_a_script_is_only_text(page_of):
    hostile = renamed(study(), "north", HOSTILE)
    skipped = record(4, datasites=("south",), skipped={HOSTILE: "<img src=x onerror=alert(1)>"})
    hostile.history.append(skipped)
    page = page_of(dataclasses.replace(hostile, versions={HOSTILE: {"<b>": "<i>"}}, finished="<u>now</u>"))
    tags = Tags(page)
    assert {tag for tag, _ in tags.tags}.isdisjoint({"script", "b", "u"})
    assert all("onerror" not in attributes for _, attributes in tags.tags)
    assert HOSTILE in tags.text
    assert "<img src=x onerror=alert(1)>" in tags.text


def test_the_page_embeds_exactly_the_plots(tmp_path):
    paths = write_report(tmp_path, study())
    embedded = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", paths[-1].read_text())
    assert {base64.b64decode(one) for one in embedded} == {p.read_bytes() for p in paths if p.suffix == ".png"}


def test_the_page_tells_the_numbers(page_of):
    text = re.sub(r"\s+", " ", Tags(page_of(study(finished="4 May 2027"))).text)
    for told in (
        "A small_cnn of 12,345 parameters that tells 2 classes (red, white) apart in 32 × 32 colour pictures",
        "Test accuracy 0.875",
        "best hospital alone: 0.750 (south); always the commonest class: 0.667",  # 8 of 12 are red
        "Epsilon, highest 2.25 at delta 1e-5, per picture",
        "north 100 3 1.50 1e-5 picture 0.625 0.500",
        "All together 400 3 2.25 1e-5 picture 0.875 0.775",
        "train 50% 5.0 s 5.0 s 15.0 s",
        "other 15% 1.5 s 1.5 s 4.5 s",
        "received from hospitals 2.0 kB 3.0 kB 6.0 kB",
        "sample rate 0.125",
        "privacy noise multiplier 1.5",
        "model options width 16",
        PLAN.digest(),
        "4 May 2027",
    ):
        assert told in text


def test_the_page_says_of_which_classes_the_hold_out_has_no_picture(page_of):
    told = "The hold-out has no picture of white: nothing can be said of it."
    last = record(3, test_accuracy=1.0, confusion=((8, 0), (0, 0)))
    assert told in Tags(page_of(study(history=History([record(1), record(2), last])))).text
    assert "has no picture of" not in Tags(page_of(study())).text


def test_the_promise_covers_the_baselines_where_they_are_known(page_of):
    total = {"north": PrivacySpent(math.log(20), 1e-5, "picture"), "south": PrivacySpent(2.5, 1e-6, "picture")}
    promise = wording.guarantee(study(privacy_total=total))
    assert "baselines included" in promise
    assert "at most 21 (e to the power of epsilon, 3.00)" in promise  # e^3.00 is 20.09: a reader can check it
    assert "at most 1e-5" in promise
    assert "with the local-only baselines" in page_of(study(privacy_total=total))


def test_sizes_that_are_all_the_same_are_one_number():
    assert wording.sizes(80, 80, "unit") == "80 units"
    assert wording.sizes(20, 1000, "unit") == "20 to 1,000 units"


def test_the_promise_names_the_unit_that_holds_everywhere():
    patients = {name: PrivacySpent(1.0, 1e-5, "patient") for name in ("north", "south")}
    assert "one patient with all their pictures" in wording.guarantee(study(privacy=patients))
    mixed = patients | {"south": PrivacySpent(1.0, 1e-5, "picture")}
    assert "removing one picture" in wording.guarantee(study(privacy=mixed))


def test_a_report_on_pictures_speaks_of_patients_only_where_it_says_that_they_are_not_protected(page_of):
    by_picture = study(local_only={})
    page = Tags(page_of(by_picture)).text.replace("pictures per patient", "")  # a setting's name
    told = re.findall(r"[^.;:]*patient[^.;:]*", page)
    assert len(told) == 2
    assert "covers neither all pictures of one patient together" in told[0] and "share pictures, their eps" in told[0]
    assert told[1].strip() == "a patient with several is protected less"
    assert "Between hospitals with different pictures the highest counts." in wording.hospitals_note(by_picture)


def test_a_report_on_patients_speaks_of_patients():
    privacy = {name: PrivacySpent(1.0, 1e-5, "patient") for name in ("north", "south")}
    by_patient = study(privacy=privacy)
    assert "where hospitals share patients, their epsilons add" in wording.guarantee(by_patient)
    assert "Between hospitals with different patients the highest counts." in wording.hospitals_note(by_patient)
    assert "in 100 patients who did" in wording.odds_of_membership(by_patient)


def test_the_odds_count_all_rounds_of_the_plan_and_a_baseline_as_much_again(page_of):
    total = dict.fromkeys(("north", "south"), PrivacySpent(3.0, 1e-5, "picture"))
    plain, twice = study(), study(privacy_total=total)
    spend = plan_spend(plain.plan)
    assert at_each_rate(membership_bounds(spend)).text in wording.odds_of_membership(plain)
    assert at_each_rate(membership_bounds((*spend, *spend))).text in wording.odds_of_membership(twice)
    assert "in 100 pictures that were" in page_of(plain)


def test_an_own_model_is_called_one_in_a_report():
    own = dataclasses.replace(PLAN, model=own_spec(own_graph((8, 8, 3))))
    assert wording.summary(study(plan=own)).startswith("An own model of ")
    assert wording.summary(study()).startswith("A small_cnn of ")


def test_a_simulations_report_says_what_the_plan_would_keep_to_in_earnest_and_what_it_lacks(page_of):
    made_up = study(simulated="cells.npz, shared out evenly to 2 made-up hospitals with seed 0", local_only={})
    private = Tags(page_of(made_up)).text
    assert at_each_rate(membership_bounds(plan_spend(PLAN))).text in private
    assert "At real hospitals, whose noise nobody can foresee, the same plan would keep to this." in private
    assert "Without differential privacy" not in private and "its noise follows from a seed" in private
    plain = dataclasses.replace(
        made_up, plan=dataclasses.replace(PLAN, privacy=None), privacy=dict.fromkeys(("north", "south"))
    )
    page = Tags(page_of(plain)).text
    assert "Without differential privacy nothing bounds" in page and "no noise is added" in page
    assert "follows from a seed" not in page and "keep to this" not in page and "Epsilon is what" not in page


def test_a_study_whose_rounds_were_all_given_up_has_its_report_and_promises_nothing(page_of):
    skipped = dict.fromkeys(("north", "south"), "unreachable")
    given_up = History([record(number, datasites=(), skipped=skipped, epsilon={}) for number in (1, 2, 3)])
    page = page_of(study(history=given_up, privacy=dict.fromkeys(skipped), local_only={}))
    assert "trained at 0 of 2 hospitals over 0 rounds" in page
    assert "client update is in the model, which is what it was" in page and "factor of at most" not in page


def test_a_study_that_steps_by_a_gram_matrix_tells_what_both_cost_together(page_of, tmp_path):
    total = dict.fromkeys(("north", "south"), PrivacySpent(3.0, 1e-5, "picture"))
    both = study(privacy_total=total, gram_noise=2.5, local_only={})
    spend = (*plan_spend(both.plan), GaussianSteps(2.5, 1.0, 1))
    assert at_each_rate(membership_bounds(spend)).text in wording.odds_of_membership(both)
    page = page_of(both)
    assert "3.00 with the Gram matrix" in page and "baseline" not in page
    assert "all that this study released, Gram matrix included," in page
    write_result(tmp_path / "result.json", both)
    again = read_result(tmp_path / "result.json")
    assert (again.gram_noise, again.privacy_total) == (2.5, total)


def test_no_promise_is_made_where_training_was_not_private(page_of):
    page = page_of(study(privacy={"north": None, "south": PrivacySpent(2.0, 1e-5, "picture")}))
    assert "not differentially private at north:" in page
    assert "factor of at most" not in page
    assert "∞" in page


def test_a_hospital_that_never_took_part_spent_nothing(page_of):
    alone = study(
        privacy={"north": None, "south": PrivacySpent(2.25, 1e-5, "picture")},
        history=History([record(1, datasites=("south",), epsilon={"south": 2.25}, skipped={"north": "denied"})]),
        local_only={},
    )
    assert alone.not_private == ()
    text = re.sub(r"\s+", " ", Tags(page_of(alone)).text)
    assert "trained at 1 of 2 hospitals over 1 round." in text
    assert f"All together {alone.public_sizes['south']} 1" in text, "who did not take part is not counted"
    assert (alone.to_dict()["datasites"], alone.to_dict()["took_part"]) == (["north", "south"], ["south"])
    assert "north 100 0 – – –" in text
    assert "Round 1, north: denied" in text
    assert "factor of at most 9.5 " in text  # e^2.25 = 9.488, rounded up


def test_the_page_says_who_was_asked_and_in_which_rounds_each_took_part(page_of):
    some = study(
        public_sizes={"north": 100, "south": 300, "west": 900},
        privacy={
            "north": PrivacySpent(1.5, 1e-5, "picture"),
            "south": PrivacySpent(2.25, 1e-5, "picture"),
            "west": None,
        },
        history=History(
            [
                record(1, skipped={"west": "denied: Our board said no."}),
                record(2, datasites=("south",), skipped={"west": "denied: Our board said no.", "north": "WW705: away"}),
                record(3, skipped={"west": "denied: Our board said no."}),
            ]
        ),
    )
    text = re.sub(r"\s+", " ", Tags(page_of(some)).text)
    assert "3 hospitals asked: 2 approved, 1 denied. north took part in rounds 1, 3 of 3." in text
    assert "west had no part in it: denied: Our board said no." in text
    assert "Round 2, north: WW705: away" in text and "Rounds 1 to 3, west: denied" in text
    told = json.loads(json.dumps(some.to_dict()))["hospitals"]
    assert {name: one["standing"] for name, one in told.items()} == {
        "north": "some rounds",
        "south": "all rounds",
        "west": "denied",
    }
    assert told["west"]["left_out"] == [{"first": 1, "last": 3, "reason": "denied: Our board said no."}]


def test_how_canaries_ended_is_told_on_the_page_and_read_back(page_of, tmp_path):
    ended = {"north": CanaryEnd(True, "2026-11-29T08:00:00+00:00"), "south": CanaryEnd.now("WW501: No memory is left.")}
    told = study(canaries=ended)
    text = re.sub(r"\s+", " ", Tags(page_of(told)).text)
    assert "it passed at north; it failed at south (WW501: No memory is left.)." in text
    passed = CanaryEnd(True, "2026-11-29T08:00:00+00:00")
    assert "it passed at east, north." in told_canaries(
        {"north": passed, "east": passed}
    )  # in whatever order they came
    assert read_result(write_result(tmp_path / "result.json", told)).canaries == ended
    assert "canary" not in page_of(study()) and "canaries" not in study().to_dict()
    with pytest.raises(FederationError, match="canaries names 'east'"):
        study(canaries={"east": CanaryEnd.now()})


def test_a_promise_that_gives_one_unit_of_all_away_is_told(page_of):
    large = study(public_sizes={"north": 99_999, "south": 100_000})
    assert "At south (1/100,000) the remainder is not below one unit of all" in page_of(large)
    assert "one unit of all" not in page_of(study())


def evaluated(right: int, **changes) -> SavedCounts:
    """Counts of the study's model at two hospitals: all right at north, so many of 200 at south."""
    values = {
        "plan": EvaluationPlan("cells", "smears", PLAN.model, 1, ReleaseSpec(2.0, 1e-5)),
        "released": Released(
            {
                "north": {"confusion": np.array([[100, 0], [0, 100]], np.float32)},
                "south": {"confusion": np.array([[100, 0], [200 - right, right - 100]], np.float32)},
            },
            2.0,
            {"north": 0.5, "south": 0.5},
            {"west": "denied: not this year"},
        ),
        "class_names": ("red", "white"),
        "of_study": PLAN.digest(),
        "of_round": 3,
    }
    return SavedCounts(**(values | changes))


def test_the_page_shows_counts_with_intervals_and_what_a_difference_means(page_of):
    text = re.sub(r"\s+", " ", Tags(page_of(study(counts=(evaluated(150),)))).text)
    assert "The model after 3 rounds, on the hospitals' own pictures" in text
    assert "Datasite count accuracy macro F1 recall red recall white" in text
    assert re.search(r"south 200 \(192–208\) 0\.750 \(0\.\d\d–0\.\d\d\)", text)
    assert "Accuracy: north lies 0.250 above south (between 0." in text
    assert "in at most 5 of 100 such requests" in text and "west: denied: not this year" in text
    alike = re.sub(r"\s+", " ", Tags(page_of(study(counts=(evaluated(197),)))).text)
    assert "No two hospitals are told apart. The largest difference, accuracy: north lies 0.015 above south" in alike
    told = json.loads(json.dumps(study(counts=(evaluated(150),)).to_dict()))
    assert told["counts"][0]["differences"][0]["told_apart"] is True


@pytest.mark.parametrize(
    "other",
    [
        {"class_names": ("white", "red")},
        {"of_study": "1" * 64},
        {"plan": EvaluationPlan("cells", "others", PLAN.model, 1, ReleaseSpec(2.0, 1e-5))},
    ],
    ids=["classes", "model", "dataset"],
)
def test_counts_that_do_not_belong_to_the_study_are_refused(other):
    with pytest.raises(FederationError, match="The counts are of"):
        study(counts=(evaluated(150, **other),))


def test_counts_of_a_class_in_another_form_of_unicode_belong_to_the_study():
    ours, theirs = ("ro\u0302t", "white"), ("r\u00f4t", "white")
    told = study(counts=(evaluated(150, class_names=theirs),), class_names=ours)
    assert told.class_names == ours and told.counts[0].class_names == theirs


def test_a_report_is_written_again_with_counts_that_came_later(tmp_path, capsys):
    write_report(tmp_path, study(finished="4 May 2027"))
    evaluated(150).save(tmp_path / "evaluation")
    assert main(["report", "--out", str(tmp_path), "--counts", str(tmp_path / "evaluation")]) == 0
    assert "report.html" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "north lies 0.250 above south" in page and "4 May 2027" in page
    assert json.loads((tmp_path / "result.json").read_text())["counts"][0]["kind"] == "evaluation"


def test_a_report_of_a_folder_that_nobody_may_write_to_says_what_to_copy(tmp_path, capsys):
    write_report(tmp_path, study())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    (tmp_path / f".check-{os.getpid()}").mkdir()  # so that nothing can be put there, whoever runs the test
    assert main(["report", "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "Copy the folder to where you may write, and ask for the report of the copy." in told and "--" not in told
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_hosts_with_equal_versions_share_a_row(page_of):
    versions = {"researcher": {"torch": "2"}, "north": {"torch": "2"}, "south": {"torch": "3", "opacus": "1"}}
    text = re.sub(r"\s+", " ", Tags(page_of(study(versions=versions))).text)
    assert "Where opacus torch researcher, north – 2 south 1 3" in text


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError):
        write_report(tmp_path / "taken", study())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (wording.number(1e-5), "1e-5"),
        (wording.number(0.25), "0.25"),
        (wording.number(2.0), "2"),
        (wording.seconds(0.0624), "62 ms"),
        (wording.seconds(52.84), "52.8 s"),
        (wording.seconds(125), "2 min 05 s"),
        (wording.seconds(3725), "1 h 02 min"),
        (wording.size(999), "999 B"),
        (wording.size(722_000), "722 kB"),
        (wording.size(4_320_000), "4.3 MB"),
        (wording.count(1, "round"), "1 round"),
        (wording.count(1200, "round"), "1,200 rounds"),
    ],
)
def test_numbers_are_written_as_people_write_them(written, expected):
    assert written == expected


def test_the_plotted_matrix_tells_no_share_of_a_class_without_pictures():
    drawn = plots.confusion(np.array([[3, 1], [0, 0]]), ("benign", "malignant"))
    said = [text.get_text() for text in drawn.axes[0].texts if not text.get_text().isdigit()]
    assert said == ["75%", "25%", "–", "–"]
