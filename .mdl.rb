# SPDX-License-Identifier: Apache-2.0
# Markdown as it is written here: all rules but those that are a matter of taste.
all
exclude_rule "MD013" # lines up to 150
exclude_rule "MD022" # headings may stand close to their text
exclude_rule "MD024" # the same heading in several sections
exclude_rule "MD026" # a heading may be a question or a sentence
exclude_rule "MD029" # numbered lists go on after a table
exclude_rule "MD031" # code may stand close to its text
exclude_rule "MD033" # HTML where Markdown has no word for it
exclude_rule "MD040" # not all that is shown is a language
exclude_rule "MD034" # addresses as they are
