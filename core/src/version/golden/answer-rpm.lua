-- Answers pairs of versions with the real rpm:  rpmlua answer-rpm.lua < rpm.tsv > answered.tsv   (Debian package: rpm)
-- In:  a<TAB>b[<TAB>anything], in the notation of printf %b (\0ooo is an octal character code); `#` is a comment.
-- Out: a<TAB>b<TAB>less|equal|greater|unparseable. rpm splits a text into epoch, version and release and compares two of
-- them (rpm.ver). A text is unparseable when rpmspec refuses a package with these parts as Epoch, Version and Release.
-- White space and control characters part the words and lines of a spec, so that such text cannot be asked: unparseable.

local known = {}

local function accepted(text)
  if text == '' or text:find('[%c%s]') then return false end
  local version = rpm.ver(text)
  local spec = 'Name: a\nSummary: a\nLicense: a\nVersion: ' .. version.v:gsub('%%', '%%%%')
    .. '\nRelease: ' .. (version.r or '1'):gsub('%%', '%%%%') .. '\n'
  if version.e then spec = spec .. 'Epoch: ' .. version.e .. '\n' end
  local path = os.tmpname()
  local file = io.open(path, 'w')
  file:write(spec, '%description\n')
  file:close()
  local ok = os.execute('rpmspec --query --queryformat ok ' .. path .. ' >' .. path .. '.out 2>/dev/null')
  os.remove(path)
  os.remove(path .. '.out')
  return ok == true or ok == 0
end

local function decode(text)
  return (text:gsub('\\0([0-7][0-7][0-7])', function(octal) return string.char(tonumber(octal, 8)) end))
end

for line in io.lines() do
  if line:sub(1, 1) == '#' then
    print(line)
  else
    local a, b = line:match('^([^\t]*)\t([^\t]*)')
    for _, text in ipairs({ a, b }) do
      if known[text] == nil then known[text] = accepted(decode(text)) end
    end
    local answer = 'unparseable'
    if known[a] and known[b] then
      local left, right = rpm.ver(decode(a)), rpm.ver(decode(b))
      answer = left < right and 'less' or left == right and 'equal' or left > right and 'greater' or 'error'
    end
    print(a .. '\t' .. b .. '\t' .. answer)
  end
end
