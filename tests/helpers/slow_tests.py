"""What `make test` leaves to `make test-all`, beside the tests that are marked `slow` themselves.

`make test` is what one waits for before each commit: 12 minutes on two cores with the checks and the installation. It
keeps a fit and a search that are killed, one whole run, and each step's own tests. Listed here are further networks and
options of what it keeps, and what it leaves out whole: other backends, several devices, presets, plans and pre-training
from end to end. So run `make test-all` after a change of these.
"""

EXPORTS = "tests/models/test_export.py::test_an_exported_network_gives_equal_logits_at_other_sizes"
SIZES = "tests/inference/test_sizes.py::test_masks_have_the_images_own_size_and_are_those_of_the_padded_image"
HALF_PRECISION = "tests/training/fit/test_fit.py::test_every_network_is_trained_in_half_precision"
OPTIONS = "tests/training/fit/test_fit.py::test_every_option_learns_and_ends_with_what_validation_saw"
STRIDES = "tests/models/test_models.py::test_an_encoder_keeps_the_stride_it_is_asked_for_and_the_same_weights"
MODELS = "tests/models/test_models.py::"
FITS = "tests/training/fit/"
SEEDS = "tests/datasets/test_sample.py::test_same_seed_gives_the_same_bytes_and_another_seed_others"

LATER_ENCODERS = ("convnext_tiny", "efficientnet_lite1", "efficientnet_lite2", "efficientnetv2_b0", "xception")
"""Encoders whose strides are left out; `efficientnet_lite0` and `mobilenet_v2` are kept."""

SLOW = (
    # Whole flows: `test_main_job` keeps one of each step, `training/test_resume` a fit and a search that are killed.
    "tests/e2e/test_main_job.py::test_retraining_killed_twice_repeats_every_bit_and_compares_with_the_champion",
    "tests/e2e/test_classification.py::test_the_search_begins_with_an_encoder_that_knows_the_breeds",
    "tests/e2e/test_presets.py::test_a_preset_runs_from_download_to_a_decision",
    "tests/e2e/test_plan.py::test_a_run_is_trained_as_planned_and_keeps_its_plan",
    "tests/e2e/test_faults.py::test_a_typo_in_params_stops_before_anything_is_done",
    "tests/e2e/test_faults.py::test_a_mirror_that_is_missing_or_wrong",
    "tests/e2e/test_faults.py::test_a_failing_stage_fails_its_task_and_those_after_it",
    "tests/e2e/test_faults.py::test_a_prefect_server_that_is_not_there_is_named_at_once",
    "tests/e2e/test_faults.py::test_training_against_a_server_that_is_not_there",
    "tests/e2e/test_faults.py::test_training_on_other_data_than_params_say",
    "tests/e2e/test_own_data.py::test_own_data_are_prepared_and_a_changed_file_is_noticed",
    "tests/data/batches/test_processes.py::test_it_works_in_a_prefect_task_with_tensorflow_in_the_parent",
    "tests/infra/test_prepare.py",
    "tests/pipeline/test_weights.py::test_imagenet_may_be_fetched_and_auto_may_not",
    "tests/training/fit/test_memory_estimate.py::test_dropout_keeps_a_byte_an_element_and_heads_their_share_of_the_pixels",
    # Other devices and backends.
    "tests/training/test_devices.py::test_a_fit_on_two_devices_interrupted_and_taken_up_again_is_that_of_one",
    "tests/training/test_devices.py::test_gradients_are_added_up_before_they_are_clipped_and_judged",
    "tests/training/test_jax.py",
    # Networks and options beside the ones that are kept: U-Net for half precision, Adam, float16 and the Lovasz loss.
    f"{HALF_PRECISION}[deeplab_v3_plus]",
    f"{HALF_PRECISION}[encoder_decoder]",
    f"{HALF_PRECISION}[unet_plus_plus]",
    f"{HALF_PRECISION}[xception_unet]",
    "tests/training/fit/test_fit.py::test_a_fit_in_half_precision_goes_on_with_the_losses_scale",
    f"{OPTIONS}[bfloat16]",
    f"{OPTIONS}[clip]",
    f"{OPTIONS}[ema]",
    f"{OPTIONS}[rmsprop]",
    f"{OPTIONS}[sgd]",
    # Whole fits with a pre-trained encoder, or in parts; what they are made of is kept.
    "tests/training/fit/test_fine_tuning.py::test_an_encoder_is_frozen_first_then_thawed",
    "tests/training/fit/test_fine_tuning.py::test_a_killed_fine_tuning_resumes_to_the_same_weights",
    "tests/training/fit/test_fine_tuning.py::test_frozen_norms_keep_statistics_scales_and_shifts",
    "tests/training/fit/test_fine_tuning.py::test_parts_of_a_batch_add_up_to_its_gradient",
    "tests/training/fit/test_fine_tuning.py::test_a_fit_in_parts_resumes_to_the_same_weights",
    # Plans with encoders that take long to build.
    "tests/training/plan/test_plan.py::test_first_weights_make_networks_with_an_encoder_the_candidates",
    "tests/training/plan/test_compositions.py::test_networks_that_are_given_beside_compositions_get_a_trial_too",
    "tests/training/plan/test_compositions.py::test_the_output_stride_follows_the_crop",
    "tests/training/plan/test_plan.py::test_auto_starts_from_weights_that_are_here_and_says_what_others_would_bring",
    "tests/training/search/test_halving.py::test_a_trial_in_three_parts_is_one_that_never_paused",
    "tests/training/fit/test_seeding.py::test_equal_seeds_give_equal_variables_and_other_seeds_others[deeplab_v3_plus]",
    "tests/training/fit/test_memory_estimate.py::test_a_real_fit_takes_what_was_estimated_within_a_quarter",
    "tests/training/classification/test_pretrain.py::test_killed_after_an_epoch_it_ends_with_the_same_weights",
    "tests/models/test_models.py::test_networks_have_the_published_parameter_counts[xception_65",
    "tests/models/test_models.py::test_an_encoder_keeps_the_stride_it_is_asked_for_and_the_same_weights[16-xception_65]",
    "tests/models/test_models.py::test_an_encoder_keeps_the_stride_it_is_asked_for_and_the_same_weights[32-xception_65]",
    f"{MODELS}test_networks_have_the_published_parameter_counts[fcn8s]",
    f"{HALF_PRECISION}[composed]",
    f"{HALF_PRECISION}[fcn8s]",
    f"{HALF_PRECISION}[segnet]",
    f"{OPTIONS}[adam]",
    f"{OPTIONS}[float16]",
    f"{FITS}test_fit.py::test_averaged_weights_are_validated_and_the_others_trained_on",
    f"{FITS}test_fit.py::test_deep_supervision_trains_every_head_and_measures_the_first",
    f"{FITS}test_fit.py::test_others_who_draw_from_pythons_generator_change_nothing",
    f"{FITS}test_fit.py::test_weights_worse_than_an_earlier_epochs_are_not_kept",
    f"{FITS}test_failures.py::test_memory_that_runs_out_in_a_loader_keeps_the_checkpoint",
    f"{FITS}test_failures.py::test_other_errors_of_a_loader_stay_what_they_are",
    f"{FITS}test_failures.py::test_a_gradient_that_is_no_number_in_an_epochs_last_step_stops_it",
    f"{FITS}test_seeding.py::test_equal_seeds_give_equal_variables_and_other_seeds_others[composed]",
    "tests/training/plan/test_plan.py::test_first_weights_make_networks_with_an_encoder_the_candidates[imagenet-2]",
    "tests/training/plan/test_plan.py::test_every_candidate_is_within_the_budget",
    *(f"{STRIDES}[{stride}-{name}]" for stride in (8, 16, 32) for name in LATER_ENCODERS),
    f"{MODELS}test_a_saved_network_gives_equal_logits[deeplab_v3_plus]",
    f"{MODELS}test_a_saved_network_keeps_its_encoders_input_scaling_and_layers[efficientnetv2_b0]",
    *(
        f"{MODELS}test_images_of_any_number_type_give_float32_logits_of_their_size[{number}-{name}]"
        for number in (True, False)
        for name in ("composed", "deeplab_v3_plus")
    ),
    f"{MODELS}test_training_drops_and_inference_does_not[deeplab_v3_plus]",
    f"{EXPORTS}[deeplab_v3_plus",
    f"{EXPORTS}[fcn8s",
    f"{EXPORTS}[unet_plus_plus",
    f"{EXPORTS}[xception_unet",
    f"{SIZES}[composed",
    f"{SIZES}[deeplab_v3_plus",
    f"{SIZES}[fcn8s",
    f"{SIZES}[unet_plus_plus",
    f"{SIZES}[xception_unet",
    # A second case of what another test keeps: memory of a call, real masks, stages that run out of disk.
    "tests/evaluation/cost/test_call_memory.py::test_a_greater_peak_before_it_does_not_count[kernel]",
    "tests/evaluation/cost/test_call_memory.py::test_tensors_count_though_the_backend_has_kept_memory_for_them",
    "tests/faults/test_data.py::test_a_shift_of_real_masks_is_seen",
    "tests/e2e/test_faults.py::test_a_full_disk_in_a_data_stage[download]",
    "tests/e2e/test_faults.py::test_a_full_disk_in_a_data_stage[validate]",
    "tests/e2e/test_own_data.py::test_polygons_are_painted_the_same_each_time",
    "tests/e2e/test_main_job.py::test_evaluating_a_version_again_counts_the_same_and_keeps_the_page_with_its_run",
    "tests/datasets/test_definitions.py::test_splits_are_the_published_ones[kitti-blocks-the drawn sample",
    "tests/datasets/test_definitions.py::test_splits_are_the_published_ones[kitti-last_30-the drawn sample",
    f"{FITS}test_fine_tuning.py::test_the_encoder_moves_by_its_share_of_the_rate[sgd]",
    "tests/training/plan/test_plan.py::test_more_memory_and_more_pixels_give_wider_networks",
    # Drawings of the other data sets.
    f"{SEEDS}[camvid]",
    f"{SEEDS}[cityscapes]",
    f"{SEEDS}[kitti]",
    f"{SEEDS}[kitti_road]",
)
"""What the ids of these tests begin with."""
