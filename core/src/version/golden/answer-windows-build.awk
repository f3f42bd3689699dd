#!/usr/bin/awk -f
# Answers pairs of Windows builds by the rule at the top of windows-build.ts, written a second time and otherwise:
#   LC_ALL=C awk -f answer-windows-build.awk windows-build.tsv > answered.tsv
# In:  a<TAB>b[<TAB>anything], in the notation of printf %b (a space at an end is \0040); `#` is a comment.
# Out: a<TAB>b<TAB>less|equal|greater|incomparable|unparseable.
BEGIN { FS = OFS = "\t" }
/^#/ { print; next }
{
  if (!is_build($1) || !is_build($2)) answer = "unparseable"
  else if (branch($1) != branch($2)) answer = "incomparable"
  else if (padded($1) == padded($2)) answer = "equal"
  else answer = padded($1) "" < padded($2) "" ? "less" : "greater"
  print $1, $2, answer
}
function is_build(text,    numbers, count, i) {
  if (text !~ /^[0-9]+(\.[0-9]+)(\.[0-9]+)?(\.[0-9]+)?$/) return 0
  count = split(text, numbers, ".")
  for (i = 1; i <= count; i++) if (numbers[i] + 0 > 4294967295) return 0
  return 1
}
# Every number with the same count of digits, so that the order of the text is the order of the numbers.
function padded(text,    numbers, count, i, result) {
  count = split(text, numbers, ".")
  for (i = 1; i <= count; i++) result = result sprintf("%010d.", numbers[i])
  return result
}
function branch(text,    numbers, count, i, result, two, line) {
  count = split(text, numbers, ".")
  two = (numbers[1] + 0) "." (numbers[2] + 0)
  if (two ~ /^(10\.0|6\.[0-4])$/ && (count == 2 || (count == 3 && numbers[3] + 0 >= 5000))) return "exactly " padded(text)
  if (count == 4) {
    line = ""
    if (two == "4.7" && numbers[4] < 1000 && numbers[3] >= 3000 && numbers[3] < 9000) line = ".NET Framework 4.7"
    if (two == "4.8" && numbers[4] < 1000 && numbers[3] >= 3000 && numbers[3] < 9000) line = ".NET Framework 4.8"
    if (two == "4.8" && numbers[4] < 1000 && numbers[3] >= 9000 && numbers[3] < 10000) line = ".NET Framework 4.8.1"
    if (two ~ /^1[56]\.0$/ && int(numbers[4] / 1000) == 1 && numbers[3] >= 4000 && numbers[3] < 6000) line = "Office " two
    if (two == "16.0" && int(numbers[4] / 10000) == 2 && int(numbers[3] / 1000) == 10) line = "SharePoint 2019"
    if (line != "") return line
  }
  result = count ":"
  for (i = 1; i < count; i++) result = result sprintf("%010d.", numbers[i])
  return result
}
