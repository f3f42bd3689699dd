#!/bin/sh
# Answers pairs of versions with Alpine's apk:  ./answer-apk.sh < apk.tsv > answered.tsv   (APK names the program, else apk)
# In:  a<TAB>b[<TAB>anything], in the notation of printf %b (a space at an end is \0040, a tab \0011); `#` is a comment.
# Out: a<TAB>b<TAB>less|equal|greater|unparseable. A text is unparseable when `apk version --check` refuses it.
export LC_ALL=C
tab=$(printf '\t')
while IFS="$tab" read -r a b _; do
  case $a in '#'*) printf '%s\n' "$a"; continue ;; esac
  # The x keeps command substitution from dropping line feeds at the end.
  left=$(printf '%bx' "$a"); left=${left%x}
  right=$(printf '%bx' "$b"); right=${right%x}
  if ! "${APK:-apk}" version -c "$left" >/dev/null 2>&1 || ! "${APK:-apk}" version -c "$right" >/dev/null 2>&1; then
    answer=unparseable
  else
    case $("${APK:-apk}" version -t "$left" "$right") in
      '<') answer=less ;; '=') answer=equal ;; '>') answer=greater ;; *) answer=error ;;
    esac
  fi
  printf '%s\t%s\t%s\n' "$a" "$b" "$answer"
done
