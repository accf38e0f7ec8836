"""The benchmark of dsync: ratios to a floor and to the packages a user would pick instead."""
