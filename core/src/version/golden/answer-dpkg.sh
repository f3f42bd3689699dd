#!/bin/sh
# Answers pairs of versions with the real dpkg:  ./answer-dpkg.sh < dpkg.tsv > answered.tsv
# In:  a<TAB>b[<TAB>anything], in the notation of printf %b (a space at an end is \0040, a tab \0011); `#` is a comment.
# Out: a<TAB>b<TAB>less|equal|greater|unparseable. A text is unparseable when `dpkg --validate-version` refuses it; a
# leading hyphen would be read as an option, so a blank, which dpkg trims, is put before every version.
export LC_ALL=C
tab=$(printf '\t')
while IFS="$tab" read -r a b _; do
  case $a in '#'*) printf '%s\n' "$a"; continue ;; esac
  # The x keeps command substitution from dropping line feeds at the end.
  left=$(printf ' %bx' "$a"); left=${left%x}
  right=$(printf ' %bx' "$b"); right=${right%x}
  if ! dpkg --validate-version "$left" 2>/dev/null || ! dpkg --validate-version "$right" 2>/dev/null; then
    answer=unparseable
  elif dpkg --compare-versions "$left" lt "$right"; then answer=less
  elif dpkg --compare-versions "$left" eq "$right"; then answer=equal
  elif dpkg --compare-versions "$left" gt "$right"; then answer=greater
  else answer=error
  fi
  printf '%s\t%s\t%s\n' "$a" "$b" "$answer"
done
