# Tables as Athena and QuickSight see them, from the same declarations as everything else.

resource "aws_glue_catalog_database" "this" {
  name        = replace(var.name, "-", "_")
  description = "Tables of Riskcast; declared in riskcast.tables"
  tags        = var.tags
}

resource "aws_glue_catalog_table" "this" {
  for_each = var.catalog

  name          = each.key
  description   = each.value.description
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"
  # Athena reads a Delta table's files from its log, and finds the years of published Parquet by
  # projection, so that no partition is ever registered by hand.
  parameters = each.value.format == "delta" ? tomap({
    EXTERNAL                     = "TRUE"
    table_type                   = "DELTA"
    "spark.sql.sources.provider" = "delta"
    }) : tomap({
    EXTERNAL                    = "TRUE"
    classification              = "parquet"
    "projection.enabled"        = "true"
    "projection.year.type"      = "integer"
    "projection.year.range"     = "1960,2100"
    "storage.location.template" = "s3://${aws_s3_bucket.this["lake"].bucket}/${each.value.location}/year=$${year}"
  })

  storage_descriptor {
    location      = "s3://${aws_s3_bucket.this["lake"].bucket}/${each.value.location}"
    input_format  = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

    ser_de_info {
      serialization_library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    }

    dynamic "columns" {
      for_each = each.value.columns

      content {
        name    = columns.value.name
        type    = columns.value.type
        comment = columns.value.comment
      }
    }
  }

  dynamic "partition_keys" {
    for_each = each.value.format == "parquet" ? ["year"] : []

    content {
      name = partition_keys.value
      type = "int"
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name          = var.name
  description   = "Questions to the tables of Riskcast, with a limit of bytes each"
  force_destroy = var.force_destroy
  tags          = var.tags

  configuration {
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.scan_limit_bytes

    result_configuration {
      output_location = "s3://${aws_s3_bucket.this["queries"].bucket}/athena/"

      encryption_configuration {
        encryption_option = "SSE_KMS"
        kms_key_arn       = var.data_key_arn
      }
    }
  }
}

locals {
  quicksight = var.quicksight_principal_arn != "" && contains(keys(var.catalog), "published_predictions_daily") ? 1 : 0
  quicksight_types = {
    bigint = "INTEGER", boolean = "STRING", date = "DATETIME", double = "DECIMAL", int = "INTEGER", string = "STRING", timestamp = "DATETIME"
  }
}

resource "aws_quicksight_data_source" "athena" {
  count = local.quicksight

  data_source_id = "${var.name}-athena"
  name           = "Riskcast (${var.name})"
  type           = "ATHENA"
  tags           = var.tags

  parameters {
    athena {
      work_group = aws_athena_workgroup.this.name
    }
  }

  ssl_properties {
    disable_ssl = false
  }
}

resource "aws_quicksight_data_set" "forecasts" {
  count = local.quicksight

  data_set_id = "${var.name}-forecasts"
  name        = "Forecasts (${var.name})"
  import_mode = "DIRECT_QUERY"
  tags        = var.tags

  physical_table_map {
    physical_table_map_id = "forecasts"

    relational_table {
      data_source_arn = aws_quicksight_data_source.athena[0].arn
      catalog         = "AwsDataCatalog"
      schema          = aws_glue_catalog_database.this.name
      name            = aws_glue_catalog_table.this["published_predictions_daily"].name

      dynamic "input_columns" {
        # QuickSight knows no lists; drivers and probabilities of the states are read in Athena.
        for_each = [for column in var.catalog["published_predictions_daily"].columns : column if contains(keys(local.quicksight_types), column.type)]

        content {
          name = input_columns.value.name
          type = local.quicksight_types[input_columns.value.type]
        }
      }
    }
  }

  permissions {
    principal = var.quicksight_principal_arn
    actions = [
      "quicksight:DescribeDataSet",
      "quicksight:DescribeDataSetPermissions",
      "quicksight:DescribeIngestion",
      "quicksight:ListIngestions",
      "quicksight:PassDataSet",
    ]
  }
}
