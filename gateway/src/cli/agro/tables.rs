//! `giot agro crops` and `giot agro soils`: the tables that seasons name by id, as CSV.

use super::write_table;
use giot_engine::agro::{Habit, crops as all_crops, soils as all_soils};

/// List the crops that a season can name by id, with the status and source of their numbers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro crops
  giot agro crops > crops.csv

status: sourced = printed in the source; placeholder = an analogue until a source is read, not to be trusted unmeasured.")]
pub(in crate::cli) struct CropsArgs {}

/// List the soils that a season can name by id: the ranges of FAO-56 table 19
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  giot agro soils
  giot agro soils > soils.csv

A season that names a soil by id takes the middle of each range; the numbers of a soil test go before it.")]
pub(in crate::cli) struct SoilsArgs {}

pub(super) fn crops() -> anyhow::Result<()> {
    write_table(|out| {
        writeln!(
            out,
            "id,name_vi,name_en,habit,kc_ini,kc_mid,kc_end,kcb_ini,kcb_mid,kcb_end,height_m,root_low_m,root_high_m,p,\
             l_ini,l_dev,l_mid,l_late,status,source"
        )?;
        for crop in all_crops() {
            let habit = match crop.habit {
                Habit::Annual => "annual",
                Habit::Perennial => "perennial",
            };
            let lengths = crop.stage_days.map_or_else(
                || ",,,".to_owned(),
                |lengths| lengths.map(|length| length.to_string()).join(","),
            );
            let curve =
                |curve: giot_engine::agro::Curve| format!("{},{},{}", curve.ini, curve.mid, curve.end);
            writeln!(
                out,
                "{},{},{},{habit},{},{},{},{},{},{},{lengths},{},{}",
                crop.id,
                crop.name_vi,
                crop.name_en,
                curve(crop.kc),
                curve(crop.kcb),
                crop.height_m,
                crop.root_m.0,
                crop.root_m.1,
                crop.p,
                crop.status.code(),
                crop.source
            )?;
        }
        Ok(())
    })
}

pub(super) fn soils() -> anyhow::Result<()> {
    write_table(|out| {
        writeln!(
            out,
            "id,name_vi,fc_low,fc_high,wp_low,wp_high,rew_low_mm,rew_high_mm,tew_low_mm,tew_high_mm,status,source"
        )?;
        for soil in all_soils() {
            let ranges = [soil.field_capacity, soil.wilting_point, soil.rew_mm, soil.tew_mm];
            let ranges = ranges.map(|(low, high)| format!("{low},{high}")).join(",");
            writeln!(out, "{},{},{ranges},{},{}", soil.id, soil.name_vi, soil.status.code(), soil.source)?;
        }
        Ok(())
    })
}
