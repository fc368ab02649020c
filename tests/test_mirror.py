"""Tests mirror the package: every module has a test of its name, or a row that says what tests it.

`segcate/a/_b.py` is tested by `tests/a/test_b.py`, at any depth below `tests/a`; a module in a folder
`_c` also by `test_c_b.py`. All others stand in `TESTED_BY`: the test file, and a name in it that runs the
module (its own, or one of a module that imports it).
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
PACKAGE = ROOT / "segcate"
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
}

TESTED_BY: dict[str, tuple[str, str]] = {
    "_covariates/imputation.py": ("effects/test_missing.py", "impute"),
    "_covariates/missing.py": ("effects/test_missing.py", "N_IMPUTATIONS"),
    "_inputs/arrays.py": ("metrics/test_effect_scores.py", "effect_scores"),
    "_inputs/cells.py": ("_inputs/test_kinds.py", "column_kinds"),
    "_inputs/features.py": ("matching/test_propensity.py", "PropensityMatcher"),
    "_inputs/frames.py": ("_inputs/test_containers.py", "SegmentMatching"),
    "_inputs/last_step.py": ("cate/test_interval.py", "predict_interval"),
    "_inputs/listing.py": ("cli/test_study.py", "make_study"),
    "_inputs/peek.py": ("segmentation/test_columns.py", "numeric_matrix"),
    "_inputs/routing.py": ("metrics/test_scorers.py", "routing"),
    "_inputs/segments.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "_inputs/treatment.py": ("_inputs/test_effect_data.py", "check_arms"),
    "_nuisance/arm_kernels.py": ("_nuisance/test_pseudo_outcomes.py", "arm_centred_scores"),
    "_ranking/estimates.py": ("metrics/test_rank_test.py", "rank_test"),
    "_ranking/kernels.py": ("_ranking/test_formulas.py", "rank_score"),
    "_ranking/rows.py": ("metrics/test_curves.py", "rank_rows"),
    "_statistics/between_variance.py": ("effects/test_heterogeneity.py", "heterogeneity"),
    "_statistics/columns.py": ("matching/test_matcher.py", "PropensityMatcher"),
    "_statistics/least_squares.py": ("effects/test_adjustment.py", "least_squares"),
    "cli/_result.py": ("cli/test_commands.py", "run"),
    "cli/_problems.py": ("cli/test_study.py", "UserError"),
    "cli/_study/covariates.py": ("cli/test_study.py", "make_study"),
    "cli/_study/roles.py": ("cli/test_study.py", "Roles"),
    "base.py": ("model_selection/test_targeting_policy.py", "EffectEstimatorMixin"),
    "cards/_card.py": ("cards/test_effect_card.py", "effect_card"),
    "cards/_sections.py": ("cards/test_effect_card.py", "effect_card"),
    "cate/_adapters/wrapping.py": ("cate/test_causalml.py", "CausalMLEstimator"),
    "cate/_centring.py": ("cate/test_segment_weights.py", "centre_arms"),
    "cate/_children.py": ("cate/test_segmented_cate.py", "SegmentedCATE"),
    "cate/_estimator.py": ("cate/test_interaction_regression.py", "InteractionRegression"),
    "cate/_forest/honest_forest.py": ("cate/test_forest_grow.py", "leaves_of"),
    "cate/_forest/parameters.py": ("cate/test_causal_forest.py", "CausalForest"),
    "cate/_forest/pilot.py": ("cate/test_forest_trend.py", "ask_for_trend"),
    "cate/_forest/read.py": ("cate/test_forest.py", "read_forest"),
    "cate/_forest/rows.py": ("cate/test_forest.py", "CentredRows"),
    "cate/_robust_regression.py": ("cate/test_interaction_regression.py", "InteractionRegression"),
    "cate/_segment_models.py": ("cate/test_segmented_cate.py", "out_of_fold"),
    "cate/_segment_rows.py": ("cate/test_segmented_cate.py", "without_segment_column"),
    "cate/_treatment_kind.py": ("cate/test_segmented_cate.py", "treatment_kind_of"),
    "datasets/_public_file.py": ("datasets/test_mindset.py", "fetch_learning_mindset"),
    "datasets/_simulated_design.py": ("datasets/test_segmented_users.py", "make_segmented_users"),
    "datasets/_truth.py": ("datasets/test_segmented_users.py", "mean_need_of_treated"),
    "effects/_curved/reweighted.py": ("effects/test_second_estimate.py", "reweighted"),
    "effects/_curved/row_scores.py": ("effects/test_compare_estimators.py", "Weighted"),
    "effects/_curved/arm_fit.py": ("effects/test_curved_weighted_effects.py", "weighted_effects"),
    "effects/_curved/comparison.py": ("effects/test_curved_weighted_effects.py", "Comparison"),
    "effects/_curved/words.py": ("effects/test_curved.py", "SegmentMatching"),
    "effects/_matched/residual.py": ("effects/test_curved.py", "SegmentMatching"),
    "effects/_matched/abadie_imbens_2006.py": ("effects/test_stata.py", "abadie_imbens_variance"),
    "effects/_matched/abadie_imbens_2016.py": ("effects/test_estimated_score.py", "estimated_score_correction"),
    "effects/_matched/clustered.py": ("effects/test_std_errors.py", "SegmentMatching"),
    "effects/_matched/estimate.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "effects/_matched/estimated_segment.py": ("effects/test_standard_errors.py", "STANDARD_ERRORS"),
    "effects/_matched/g_computation.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "effects/_matched/row_scores.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "effects/_matched/view.py": ("effects/test_stata.py", "segment_view"),
    "effects/_mixin.py": ("effects/test_segment_effects.py", "SegmentMatching"),
    "effects/_table/group_scores.py": ("effects/test_effect_table.py", "EffectTable"),
    "effects/_table/imputed.py": ("effects/test_missing.py", "combine_tables"),
    "effects/_table/parts.py": ("effects/test_combine.py", "EffectTable"),
    "effects/_table/pool.py": ("effects/test_segment_effects.py", "SegmentMatching"),
    "effects/_table/segment_definition.py": ("effects/test_combine.py", "EffectTable"),
    "effects/_table/segment_estimate.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "effects/_table/summary.py": ("effects/test_segment_matching.py", "SegmentMatching"),
    "effects/_unmatched/aipw_estimate.py": ("effects/test_segment_aipw.py", "doubly_robust_effect"),
    "effects/_unmatched/aipw_nuisances.py": ("effects/test_segment_aipw.py", "SegmentAIPW"),
    "effects/_unmatched/interacted_regression.py": ("effects/test_segment_regression.py", "interacted_regression"),
    "effects/_unmatched/regression_estimate.py": ("effects/test_segment_regression.py", "SegmentRegression"),
    "effects/_unmatched/rows.py": ("effects/test_segment_regression.py", "SegmentRegression"),
    "exceptions.py": ("effects/test_segment_matching.py", "EmptySegmentError"),
    "findings/_analysed_rows.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_assemble.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_description.py": ("findings/test_collect.py", "Description"),
    "findings/_design_findings.py": ("findings/test_design.py", "collect_overlap"),
    "findings/_evidence.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_phrases.py": ("findings/test_verdict.py", "verdict_of"),
    "findings/_segment_findings.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_source.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_statement.py": ("findings/test_collect.py", "collect_findings"),
    "findings/_words.py": ("findings/test_collect.py", "collect_findings"),
    "matching/_cells.py": ("matching/test_matcher.py", "PropensityMatcher"),
    "matching/_design.py": ("matching/test_matcher.py", "PropensityMatcher"),
    "matching/_matched_sets.py": ("matching/test_mahalanobis.py", "MahalanobisMatcher"),
    "matching/_options.py": ("matching/test_matcher.py", "PropensityMatcher"),
    "matching/_support.py": ("matching/test_matcher.py", "PropensityMatcher"),
    "metrics/_compare_scores.py": ("metrics/test_rank_test.py", "compare_scores"),
    "metrics/_group_effects.py": ("metrics/test_effect_by_quantile.py", "effect_by_quantile"),
    "metrics/_group_means.py": ("metrics/test_effect_by_quantile.py", "effect_by_quantile"),
    "metrics/_rank_estimate.py": ("metrics/test_rank_test.py", "rank_test"),
    "metrics/_scored_rows.py": ("metrics/test_policy_value.py", "policy_value"),
    "metrics/_targeting_curve.py": ("metrics/test_curves.py", "uplift_curve"),
    "metrics/_top_share.py": ("metrics/test_curves.py", "top_shares"),
    "model_selection/_row_fingerprint.py": ("model_selection/test_targeting_policy.py", "TargetingPolicy"),
    "model_selection/_targeting_effects.py": ("model_selection/test_targeting_value.py", "counting_the_choice"),
    "persistence/_contents.py": ("persistence/test_model_file.py", "describe"),
    "plots/_balance_lines.py": ("plots/test_love_plot_display.py", "LovePlotDisplay"),
    "plots/_curve_labels.py": ("plots/test_uplift_curve_display.py", "UpliftCurveDisplay"),
    "plots/_drawing.py": ("plots/test_display.py", "LovePlotDisplay"),
    "plots/_effect_groups.py": ("plots/test_effect_distribution_display.py", "describe_groups"),
    "plots/_forest_plot.py": ("plots/test_segment_effect_display.py", "segment_rows"),
    "plots/_overlap_counts.py": ("plots/test_overlap_display.py", "panel_bars"),
    "plots/_profile_cells.py": ("plots/test_segment_profile_display.py", "profile_cells"),
    "plots/_sources.py": ("plots/test_love_plot_display.py", "LovePlotDisplay"),
    "reports/_answer.py": ("reports/test_page.py", "report_html"),
    "reports/_blocks_html.py": ("reports/test_blocks.py", "blocks_html"),
    "reports/_captions.py": ("reports/test_figures.py", "draw_figures"),
    "reports/_more_sections.py": ("reports/test_page.py", "report_html"),
    "reports/_overlap_figure.py": ("reports/test_figures.py", "draw_figures"),
    "reports/_sections.py": ("reports/test_page.py", "report_html"),
    "reports/_targeting_figure.py": ("reports/test_figures.py", "draw_figures"),
    "reports/_units.py": ("reports/test_figures.py", "draw_figures"),
    "segmentation/_clustering.py": ("segmentation/test_cluster.py", "ClusterSegmenter"),
    "segmentation/_clustering_segmenter.py": ("segmentation/test_kmeans.py", "KMeansSegmenter"),
    "scale/_curved_estimate.py": ("scale/test_fit.py", "fit"),
    "scale/_curved_run.py": ("scale/test_fit.py", "fit"),
    "scale/_curves.py": ("scale/test_fit.py", "fit"),
    "scale/_exact.py": ("scale/test_fit.py", "fit"),
    "scale/_levels.py": ("scale/test_chosen.py", "EveryLevel"),
    "scale/_outcomes.py": ("scale/test_fit.py", "fit"),
    "scale/_together.py": ("scale/test_fit.py", "fit"),
    "scale/_weighing.py": ("scale/test_fit.py", "fit"),
    "scale/_assemble.py": ("scale/test_fit.py", "fit"),
    "scale/_blocks.py": ("scale/test_spark.py", "SparkRunner"),
    "scale/_dealing.py": ("scale/test_fit.py", "fit"),
    "scale/_edges.py": ("scale/test_fit.py", "fit"),
    "scale/_halo.py": ("scale/test_core.py", "halo_of"),
    "scale/_job.py": ("scale/test_fit.py", "fit"),
    "scale/_local.py": ("scale/test_fit.py", "fit"),
    "scale/_moments.py": ("scale/test_fit.py", "fit"),
    "scale/_rows.py": ("scale/test_fit.py", "fit"),
    "scale/_runner.py": ("scale/test_fit.py", "fit"),
    "scale/_score.py": ("scale/test_fit.py", "fit"),
    "scale/_spill.py": ("scale/test_fit.py", "fit"),
    "scale/_sums.py": ("scale/test_core.py", "merged_all"),
    "temporal/_models/average_effects.py": ("temporal/_models/test_estimator.py", "average_effects"),
    "temporal/_models/balanced_estimator.py": ("temporal/_models/test_neural.py", "CausalTransformer"),
    "temporal/_models/causal_transformer.py": ("temporal/_models/test_neural.py", "CausalTransformer"),
    "temporal/_models/crn.py": ("temporal/_models/test_recurrent.py", "CRN"),
    "temporal/_models/gnet.py": ("temporal/_models/test_recurrent.py", "GNet"),
    "temporal/_models/model_file.py": ("temporal/_models/test_neural.py", "damaged"),
    "temporal/_models/rmsn.py": ("temporal/_models/test_recurrent.py", "RMSN"),
    "temporal/_models/stored_model.py": ("temporal/_models/test_neural.py", "CausalTransformer"),
    "temporal/_models/stored_network.py": ("temporal/_models/test_neural.py", "CausalTransformer"),
    "temporal/_networks/averaging.py": ("temporal/_networks/test_training.py", "MovingAverage"),
    "temporal/_networks/balanced.py": ("temporal/_networks/test_training.py", "adversary_weight"),
    "temporal/_networks/layers.py": ("temporal/_networks/test_attention.py", "LayerNorm"),
    "temporal/_networks/loss_learner.py": ("temporal/_models/test_recurrent.py", "GNet"),
    "temporal/_networks/readers.py": ("temporal/_models/test_recurrent.py", "RMSN"),
    "temporal/_networks/simulating.py": ("temporal/_models/test_recurrent.py", "GNet"),
    "temporal/_networks/tensors.py": ("temporal/_models/test_recurrent.py", "panel_tensors"),
    "temporal/_networks/transformer_rollout.py": ("temporal/_networks/test_transformer.py", "roll_out"),
    "temporal/_panel/long_frame.py": ("temporal/_models/test_estimator.py", "MSM"),
    "temporal/_panel/simulated_state.py": ("temporal/_models/test_linear_g_computation.py", "LinearGComputation"),
    "temporal/_segments/plan_effects.py": ("temporal/_segments/test_trajectories.py", "segment_effects"),
    "temporal/_simulators/covariates.py": ("temporal/_simulators/test_semi_synthetic.py", "standin_covariates"),
    "temporal/_simulators/semi_model.py": ("temporal/_simulators/test_semi_synthetic.py", "draw_semi"),
    "temporal/_simulators/semi_rows.py": ("temporal/_simulators/test_semi_synthetic.py", "semi_synthetic"),
    "temporal/_simulators/tumor_checks.py": ("temporal/_simulators/test_tumor_growth.py", "tumor_growth"),
    "temporal/_simulators/tumor_plans.py": ("temporal/_simulators/test_tumor_rows.py", "sliding_plans"),
}  # fmt: skip


def has_its_own_test(module: str) -> bool:
    """Tell whether a test file carries the name of a module."""
    *folders, stem = Path(module).with_suffix("").parts
    name = stem.strip("_")
    names = {f"test_{name}.py"}
    if len(folders) > 1:
        names.add(f"test_{folders[-1].strip('_')}_{name}.py")
    where = TESTS / folders[0] if folders else TESTS
    files = where.rglob("test_*.py") if folders else where.glob("test_*.py")
    return any(path.name in names for path in files)


def dotted(path: Path) -> str:
    """Return the name that a module is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return what a module defines at its top."""
    found: set[str] = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


@cache
def imports() -> dict[str, set[str]]:
    """Return which modules of the package each one imports; packages are looked through."""
    every = {dotted(path): path for path in PACKAGE.rglob("*.py")}
    found: dict[str, set[str]] = {}
    for name, path in every.items():
        asked = set()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ImportFrom) and node.module:
                asked |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
        found[name] = asked & set(every)
    return found


@cache
def users_of(name: str) -> frozenset[str]:
    """Return a module and all that import it, directly or not."""
    found, new = {name}, {name}
    while new:
        new = {who for who, asked in imports().items() if asked & new} - found
        found |= new
    return frozenset(found)


def runs(word: str, module: str) -> bool:
    """Tell whether a name belongs to a module or to one that imports it."""
    importers = users_of(dotted(MODULES[module]))
    return any(
        word in names_in(path) for path in PACKAGE.rglob("*.py") if dotted(path) in importers
    )


@pytest.mark.parametrize("module", list(MODULES))
def test_every_module_has_a_test_of_its_name_or_a_row(module):
    if has_its_own_test(module):
        assert module not in TESTED_BY, "it has a test of its name: take the row out"
        return
    assert module in TESTED_BY, f"write tests/{Path(module).parent}/test_*.py, or a row"
    file, word = TESTED_BY[module]
    text = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(word)}\b", text), f"{file} does not name {word}"
    assert runs(word, module), f"{word} does not run {module}"


def test_rows_are_of_modules_that_exist():
    assert not set(TESTED_BY) - set(MODULES)
