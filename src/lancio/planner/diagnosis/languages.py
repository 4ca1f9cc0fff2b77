"""PostgreSQL's words in other languages (lc_messages): severities, fields, and the commonest sentences.

The sentences are those of PostgreSQL 15's translations. Whatever else is said in another language is told by its
SQLSTATE, where there is one.
"""

from __future__ import annotations

import re

WORDS: dict[str, tuple[str, ...]] = {
    "severity": ("FEHLER", "ERREUR", "ERRORE", "ERRO", "FEL", "ОШИБКА", "ПОМИЛКА", "ВАЖНО", "ФАТАЛЬНО", "错误",
    "致命错误",
                 "오류", "치명적오류", "エラー", "BŁĄD", "KATASTROFALNY", "HATA", "ÖLÜMCÜL", "CHYBA", "FATALE",
                 "FATALT"),
    "detail": ("DETAIL", "DETALLE", "DÉTAIL", "DETTAGLI", "DETALHE", "DETALJ", "ПОДРОБНОСТИ", "ВІДОМОСТІ", "详细信息",
               "상세정보", "詳細", "SZCZEGÓŁY", "AYRINTI"),
    "hint": ("HINT", "TIPP", "ASTUCE", "SUGGERIMENTO", "SUGERENCIA", "DICA", "TIPS", "ПОДСКАЗКА", "УКАЗІВКА", "提示",
    "힌트",
             "ヒント", "PODPOWIEDŹ", "İPUCU"),
    "context": ("CONTEXT", "ZUSAMMENHANG", "CONTEXTE", "CONTESTO", "CONTEXTO", "KONTEXT", "КОНТЕКСТ", "上下文", "내용",
    "文脈",
                "KONTEKST", "WHERE"),
    "statement": ("STATEMENT", "ANWEISUNG", "INSTRUCTION", "ISTRUZIONE", "SENTENCIA", "COMANDO", "SATS", "ОПЕРАТОР",
                  "ІНСТРУКЦІЯ", "语句", "명령 구문", "文"),
    "query": ("QUERY", "ANFRAGE", "REQUÊTE", "CONSULTA", "ЗАПРОС"),
    "location": ("LOCATION", "ORT", "EMPLACEMENT", "UBICACIÓN", "POSITION"),
}  # fmt: skip
"""What stands before the colon of each part of an error, in capitals."""

_Q = '["»«„“”]'
_N = rf"{_Q}[ \u00a0\u202f]?(.+?)[ \u00a0\u202f]?{_Q}"

_KINDS: dict[str, tuple[str, ...]] = {
    "relation": ("Relation", "la relation", "la relación", "la relazione", "relação", "relationen", "отношение",
                 "відношення", "关系", "リレーション", "relacja"),
    "column": ("Spalte", "la colonne", "la columna", "la colonna", "coluna", "kolumnen", "столбец", "стовпця", "字段",
    "列",
               "kolumna"),
    "schema": ("Schema", "le schéma", "el esquema", "lo schema", "esquema", "schema", "схема", "模式", "スキーマ",
    "schemat"),
    "type": ("Typ", "le type", "el tipo", "il tipo", "tipo", "typen", "тип", "类型", "型", "typ"),
    "database": ("Datenbank", "la base de données", "la base de datos", "il database", "banco de dados", "databasen",
                 "база данных", "бази даних", "数据库", "データベース", "baza danych"),
    "role": ("Rolle", "le rôle", "el rol", "la función", "il ruolo", "role", "rollen", "роль", "角色", "ロール",
    "rola"),
}  # fmt: skip

_MISSING = (
    "existiert nicht", "n'existe pas", "n’existe pas", "non esiste", "não existe", "existerar inte", "finns inte",
    "не существует", "не існує", "不存在", "は存在しません", "nie istnieje",
)  # fmt: skip
_THERE = ("existiert bereits", "existe déjà", "ya existe", "esiste già", "já existe", "finns redan", "уже существует",
          "вже існує", "已经存在", "はすでに存在します", "już istnieje")  # fmt: skip

_SENTENCES: list[tuple[re.Pattern[str], str]] = []
for _kind, _names in _KINDS.items():
    _any = "|".join(re.escape(name) for name in _names)
    _SENTENCES += [
        (
            re.compile(rf"^(?:{_any})\s*{_N}\s*(?:{'|'.join(map(re.escape, _MISSING))})"),
            f'{_kind} "{{0}}" does not exist',
        ),
        (re.compile(rf"^no existe (?:{_any})\s*{_N}"), f'{_kind} "{{0}}" does not exist'),
        (
            re.compile(rf"^(?:{_any})\s*{_N}\s*(?:{'|'.join(map(re.escape, _THERE))})"),
            f'{_kind} "{{0}}" already exists',
        ),
    ]
_SENTENCES += [
    (re.compile(pattern), said)
    for pattern, said in (
        (rf"^{_N} 이름의 릴레이션\(relation\)이 없습니다", 'relation "{0}" does not exist'),
        (rf"^{_N} 이름의 칼럼은 없습니다", 'column "{0}" does not exist'),
        (rf"^{_N} 스키마\(schema\) 없음", 'schema "{0}" does not exist'),
        (rf"^{_N} 이름의 릴레이션\(relation\)이 이미 있습니다", 'relation "{0}" already exists'),
        (rf"^{_N} 데이터베이스 없음", 'database "{0}" does not exist'),
        (rf"^{_N} nesnesi mevcut değil", 'relation "{0}" does not exist'),
        (rf"^ურთიერთობა {_N} არ არსებობს", 'relation "{0}" does not exist'),
        (r"^(?:Funktion|la fonction|no existe la función|la funzione|função|funktionen|функция|функції|函数|関数) ?"
         r"(\S+\(.*?\)) ?(?:existiert nicht|n'existe pas|non esiste|não existe|finns inte|не существует|не існує|不存在"
         r"|は存在しません)?$", "function {0} does not exist"),
        (rf"^(?:doppelter Schlüsselwert verletzt Unique-Constraint|la valeur d'une clé dupliquée rompt la contrainte "
        rf"unique"
         rf"|llave duplicada viola restricción de unicidad|un valore chiave duplicato viola il vincolo univoco"
         rf"|duplicar valor da chave viola a restrição de unicidade|повторяющееся значение ключа нарушает ограничение"
         rf" уникальности|повторювані значення ключа порушують обмеження унікальності|重复键违反唯一约束"
         rf"|重複したキー値は一意性制約|duplicerat nyckelvärde bryter mot unik-villkor) ?{_N}",
         'duplicate key value violates unique constraint "{0}"'),
        (r"^(?:Verklemmung \(Deadlock\) entdeckt|interblocage \(deadlock\) détecté|se ha detectado un deadlock"
         r"|rilevato deadlock|обнаружена взаимоблокировка|виявлено взаємне блокування|检测到死锁"
         r"|デッドロックを検出しました|deadlock upptäckt|deadlock 발생했음)", "deadlock detected"),
        (r"^(?:keine Berechtigung für Tabelle|droit refusé pour la table|permiso denegado a la tabla|permesso negato "
        r"per la"
         r" tabella|permissão negada para tabela|нет доступа к таблице|немає дозволу для таблиці|对表|rättighet "
         r"saknas för"
         r" tabell) (\S+)", "permission denied for table {0}"),
        (r"^(?:Syntaxfehler bei|erreur de syntaxe sur ou près de|error de sintaxis en o cerca de|errore di sintassi a o"
         r" presso|erro de sintaxe em ou próximo a|ошибка синтаксиса \(примерное положение:|语法错误 在) ?" + _N,
         'syntax error at or near "{0}"'),
        (r"^(?:storniere Anfrage wegen Zeitüberschreitung bei Sperre|storniere Anfrage wegen Sperrzeitüberschreitung"
         r"|annulation de la requête à cause du délai écoulé pour l'obtention des verrous)",
         "canceling statement due to lock timeout"),
    )
]  # fmt: skip


def english(message: str) -> str:
    """The sentence in English, where it is one of those known in another language; else as it is."""
    for pattern, said in _SENTENCES:
        if found := pattern.search(message):
            return said.format(*found.groups())
    return message
