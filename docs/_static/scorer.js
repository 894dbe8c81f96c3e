// Sphinx adds this to the script of its search. The exact name of a part comes first, and numbers are words.
Scorer.objNameMatch = 100;

const parseWords = Search._parseQuery;
Search._parseQuery = (query) => {
  const parsed = parseWords(query);
  const [, terms, , highlighted] = parsed;
  for (const word of splitQuery(query.trim())) {
    if (/^\d{2,}$/.test(word)) {
      terms.add(word);
      highlighted.add(word);
    }
  }
  // Names such as frame.length-limit are searched as a whole.
  parsed[4] = new Set(query.toLowerCase().trim().split(/\s+/));
  return parsed;
};
